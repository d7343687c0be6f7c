// Contracts hold out of reset, and not before the first one: until then registers hold whatever they powered up with.
`default_nettype none

module after_reset (
  /// Clock.
  input  wire  clk,
  /// Synchronous reset, active low.
  input  wire  rst_n,
  /// Contracts hold in this cycle.
  output logic on
);

  // Its value before the first clock edge.
  // verilator lint_off PROCASSINIT
  logic known = 1'b0;
  // verilator lint_on PROCASSINIT
  always_ff @(posedge clk) if (!rst_n) known <= 1'b1;
  assign on = known && rst_n;

endmodule

`default_nettype wire
