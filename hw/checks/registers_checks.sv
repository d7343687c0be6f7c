// A batch starts only on an accelerator at rest, and its end has one outcome.
`default_nettype none

module registers_checks (
  input wire  clk,
  input wire  rst_n,
  input wire  start,
  input wire  busy,
  input wire  done,
  input wire  error
);

  logic on;
  after_reset contracts (.clk, .rst_n, .on);

  always_ff @(posedge clk) if (on && start)
    rest: assert (!busy)
      else $fatal(1, "a batch starts while another one is under way");

  always_ff @(posedge clk) if (on)
    outcome: assert (!(done && error))
      else $fatal(1, "a batch is both done and in error");

endmodule

bind registers registers_checks checks (.*);

`default_nettype wire
