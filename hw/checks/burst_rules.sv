// Rules of one burst's address, length, size and kind (IHI 0022, A3.4.1).
`default_nettype none

module burst_rules #(
  /// Width of an address, in bits.
  parameter int unsigned ADDRESS   = 32,
  /// log2 of the bytes in a beat of the bus.
  parameter int unsigned SIZE      = 3,
  /// Longest burst, in beats.
  parameter int unsigned MAX_BEATS = 16,
  /// Bursts of whole beats at rising addresses only.
  parameter bit          WHOLE     = 1
) (
  /// Clock.
  input wire                clk,
  /// A burst is asked for.
  input wire                valid,
  /// Its first byte.
  input wire  [ADDRESS-1:0] address,
  /// Its beats but one.
  input wire  [7:0]         length,
  /// log2 of the bytes in one of its beats.
  input wire  [2:0]         size,
  /// 0 fixed, 1 incrementing, 2 wrapping.
  input wire  [1:0]         kind
);

  localparam logic [1:0]  INCR = 2'b01;
  localparam int unsigned PAGE = 4096;

  logic [31:0] start, bytes;
  assign start = (32'(address) % PAGE) >> size << size;
  assign bytes = (32'(length) + 1) << size;

  always_ff @(posedge clk) if (valid)
    beats: assert (32'(length) < MAX_BEATS)
      else $fatal(1, "a burst is longer than %0d beats", MAX_BEATS);

  always_ff @(posedge clk) if (valid && kind == INCR)
    page: assert (start + bytes <= PAGE)
      else $fatal(1, "a burst crosses 4 KiB");

  always_ff @(posedge clk) if (valid)
    shape: assert (32'(size) <= SIZE && kind != 2'b11)
      else $fatal(1, "a burst has a size or kind that the bus does not have");

  always_ff @(posedge clk) if (valid && WHOLE)
    whole: assert (32'(size) == SIZE && kind == INCR && 32'(address) % (1 << SIZE) == 0)
      else $fatal(1, "a burst is not one of whole, aligned beats at rising addresses");

endmodule

`default_nettype wire
