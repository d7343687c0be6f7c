// A batch's address suits its bursts, and a burst's data are there before it begins.
`default_nettype none

module dma_write_checks (
  input wire         clk,
  input wire         rst_n,
  input wire         start,
  input wire  [31:0] destination,
  input wire         m_axi_wvalid,
  input wire         buffer_valid
);

  logic on;
  after_reset contracts (.clk, .rst_n, .on);

  always_ff @(posedge clk) if (on && start)
    aligned: assert (destination % 128 == 0)
      else $fatal(1, "a batch starts with records at %h, not at a multiple of 128", destination);

  always_ff @(posedge clk) if (on && m_axi_wvalid)
    data: assert (buffer_valid)
      else $fatal(1, "the record buffer underflows: a burst has begun without its data");

endmodule

bind dma_write dma_write_checks checks (.*);

`default_nettype wire
