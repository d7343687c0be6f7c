// A batch begins and ends with both sides of the DMA at rest, and no record comes before its frame.
`default_nettype none

module dma_batch_checks (
  input wire         clk,
  input wire         rst_n,
  input wire         busy,
  input wire         dma_start,
  input wire         finish,
  input wire         abort,
  input wire         load,
  input wire         loaded,
  input wire         read_idle,
  input wire         write_idle,
  input wire  [31:0] frames_read,
  input wire  [31:0] frames_done
);

  logic on;
  after_reset contracts (.clk, .rst_n, .on);

  always_ff @(posedge clk) if (on && (dma_start || finish))
    rest: assert (read_idle && write_idle)
      else $fatal(1, "a batch begins or ends while transfers are under way");

  always_ff @(posedge clk) if (on && finish)
    busy_end: assert (busy)
      else $fatal(1, "a batch ends that has not begun");

  always_ff @(posedge clk) if (on && busy && !abort)
    order: assert (frames_done <= frames_read)
      else $fatal(1, "%0d records are written of %0d frames read", frames_done, frames_read);

  always_ff @(posedge clk) if (on && dma_start && !load)
    network: assert (loaded)
      else $fatal(1, "frames start without a network");

endmodule

bind dma_batch dma_batch_checks checks (.*);

`default_nettype wire
