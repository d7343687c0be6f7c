// Where a frame stops early: at the exit at hand, where it comes there late enough, or where the best logit leads the second by enough.
//
// `due` and `looks` hold from three cycles after `start` or `passed` on, `sure` from the cycle after `margin` on. `due` says of the
// cycle it is read in whether as many have passed in the frame as the exit's limit.
`default_nettype none

module engine_exits
    import engine_pkg::*;
#(
    parameter int unsigned EXITS = 1,
    parameter int unsigned MODES = 5,
    localparam int unsigned AW = (EXITS == 1) ? 1 : $clog2(EXITS), MW = (MODES == 1) ? 1 : $clog2(MODES)
) (
    input  wire         clk,
    input  wire         rst_n,
    // Numbers of exits and modes have eight bits; there are EXITS and MODES.
    // verilator lint_off UNUSEDSIGNAL
    input  wire exit_host_t host,
    input  wire  [7:0]  mode,    /// of the frame
    // verilator lint_on UNUSEDSIGNAL
    input  wire         start,   /// a frame begins
    input  wire         passed,  /// the next exit is at hand
    input  wire  [31:0] cycles,  /// of the frame that have passed
    input  wire  [31:0] margin,  /// of the logits of the exit at hand
    output logic [7:0]  number,  /// of the exit at hand
    output logic        due,
    output logic        looks,
    output logic        sure
);
    // A limit is kept less one, since it is compared with the cycles of the cycle before.
    (* ram_style = "distributed" *) logic [31:0] limits[1 << (MW + AW)];
    (* ram_style = "distributed" *) logic [31:0] margins[1 << AW];
    logic          write_limit, write_margin;
    logic [AW-1:0] at;
    logic [MW-1:0] in_mode;
    logic [31:0]   value, limit, least;
    always_ff @(posedge clk) begin
        write_limit <= host.write_limit && 32'(host.number) < EXITS && 32'(host.mode) < MODES;
        write_margin <= host.write_margin && 32'(host.number) < EXITS;
        at <= host.number[AW-1:0];
        in_mode <= host.mode[MW-1:0];
        value <= host.value - 32'(host.write_limit && host.value != '0);
        if (write_limit) limits[{in_mode, at}] <= value;
        if (write_margin) margins[at] <= value;
        number <= (!rst_n || start) ? '0 : number + 8'(passed);
        limit <= limits[{mode[MW-1:0], number[AW-1:0]}];
        least <= margins[number[AW-1:0]];
        due <= host.enable && cycles >= limit;
        looks <= host.enable && least != '1;
        sure <= margin >= least;
    end
endmodule

`default_nettype wire
