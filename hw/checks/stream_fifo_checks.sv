// No word is put into a full buffer or taken from an empty one, and the count is true.
`default_nettype none

module stream_fifo_checks #(
  parameter int unsigned DEPTH = 64
) (
  input wire                      clk,
  input wire                      rst_n,
  input wire                      push,
  input wire                      pop,
  input wire  [$clog2(DEPTH)-1:0] write_address,
  input wire  [$clog2(DEPTH)-1:0] read_address,
  input wire  [$clog2(DEPTH):0]   count
);

  logic on;
  after_reset contracts (.clk, .rst_n, .on);

  always_ff @(posedge clk) if (on && push)
    overflow: assert (32'(count) < DEPTH)
      else $fatal(1, "the buffer overflows: a word comes while all %0d places are taken", DEPTH);

  always_ff @(posedge clk) if (on && pop)
    underflow: assert (count != '0)
      else $fatal(1, "the buffer underflows: a word is taken while none is stored");

  // Full and empty have equal addresses.
  always_ff @(posedge clk) if (on)
    counted: assert (32'(count) <= DEPTH && (count - {1'b0, write_address - read_address}) % ($clog2(DEPTH) + 1)'(DEPTH) == '0)
      else $fatal(1, "the buffer counts %0d words, its addresses say otherwise", count);

endmodule

bind stream_fifo stream_fifo_checks #(.DEPTH(DEPTH)) checks (.*);

`default_nettype wire
