// Nothing of a frame's result changes while the record before is sent; the record's stream keeps its rules.
`default_nettype none

module engine_record_checks #(
    parameter int unsigned CLASSES = 10
) (
    input wire         clk,
    input wire         rst_n,
    input wire         logit_valid,
    input wire  [8:0]  logit_index,
    input wire         finish,
    input wire         sending,
    input wire  [63:0] m_axis_tdata,
    input wire         m_axis_tvalid,
    input wire         m_axis_tready
);
    logic on;
    after_reset contracts (.clk, .rst_n, .on);

    always_ff @(posedge clk) if (on && finish)
        ready: assert (!sending)
            else $fatal(1, "a frame finishes while the record before it is still being sent");

    always_ff @(posedge clk) if (on && logit_valid) begin
        quiet: assert (!sending)
            else $fatal(1, "a logit comes while the record before it is still being sent");
        classes: assert (32'(logit_index) < CLASSES)
            else $fatal(1, "a logit of class %0d comes, the record holds %0d", logit_index, CLASSES);
    end

    handshake_rules #(.WIDTH(64)) records (
        .clk, .rst_n, .valid(m_axis_tvalid), .ready(m_axis_tready), .payload(m_axis_tdata));
endmodule

bind engine_record engine_record_checks #(.CLASSES(CLASSES)) checks (.*);

`default_nettype wire
