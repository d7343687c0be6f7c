// Contracts hold out of reset, and not before the first one: until then registers hold whatever they powered up with.
module after_reset (
  /// Clock.
  input  logic clk,
  /// Synchronous reset, active low.
  input  logic rst_n,
  /// Contracts hold in this cycle.
  output logic on
);

  logic known = 1'b0;
  always_ff @(posedge clk) if (!rst_n) known <= 1'b1;
  assign on = known && rst_n;

endmodule
