// Rules of one valid/ready channel: an offer stays, unchanged, until it is taken, and none is made in reset.
//
// As all modules of this folder, for simulation only; a breach ends it with a sentence. The assertions stand in clocked blocks, under
// the condition that they need: that costs a simulator less than the same as a property.
`default_nettype none

module handshake_rules #(
  /// Width of all that is offered, in bits.
  parameter int unsigned WIDTH = 1
) (
  /// Clock.
  input wire              clk,
  /// Synchronous reset, active low.
  input wire              rst_n,
  input wire              valid,
  input wire              ready,
  /// All that is offered.
  input wire  [WIDTH-1:0] payload
);

  logic             on;
  // Its value before the first clock edge.
  // verilator lint_off PROCASSINIT
  logic             reset = 1'b0;
  // verilator lint_on PROCASSINIT
  logic             waiting;
  logic [WIDTH-1:0] offered;
  after_reset contracts (.clk, .rst_n, .on);

  always_ff @(posedge clk) begin
    reset   <= !rst_n;
    waiting <= on && valid && !ready;
    if (valid && !ready) offered <= payload;

    if (on && waiting) begin
      held: assert (valid) else $fatal(1, "an offer is withdrawn before it is taken");
      stable: assert (payload == offered) else $fatal(1, "an offer changes before it is taken");
    end
    if (reset) begin
      quiet: assert (!valid) else $fatal(1, "an offer is made in reset");
    end
  end

endmodule

`default_nettype wire
