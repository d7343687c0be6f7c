// A batch's addresses suit its bursts, every beat that was asked for finds its place, and no header names a mode too many.
`default_nettype none

module dma_read_checks (
  input wire         clk,
  input wire         rst_n,
  input wire         start,
  input wire  [31:0] source,
  input wire  [31:0] mode_list,
  input wire  [7:0]  mode_count,
  /// What is read is a network image.
  input wire         load,
  /// The word that enters the buffer is a header.
  input wire         header,
  input wire         push,
  input wire         push_ready,
  input wire  [63:0] push_data
);

  logic on;
  after_reset contracts (.clk, .rst_n, .on);

  always_ff @(posedge clk) if (on && start)
    aligned: assert (source % 128 == 0 && mode_list % 128 == 0)
      else $fatal(1, "a batch starts with images at %h and modes at %h, not at multiples of 128", source, mode_list);

  always_ff @(posedge clk) if (on && push && !header)
    room: assert (push_ready)
      else $fatal(1, "the image buffer overflows: a beat comes that was asked for without room");

  always_ff @(posedge clk) if (on && push && header && !load)
    mode: assert (push_data < 64'(mode_count))
      else $fatal(1, "a header names mode %0d of %0d", push_data, mode_count);

endmodule

bind dma_read dma_read_checks checks (.header(blkData.state.header), .*);

`default_nettype wire
