// A list of active channels in ascending order, and how many of them lie below each sixteenth of all channels.
//
// It is filled by all channels in order, one at a time, of which it keeps some. A group of a group mode is a run of sixteenths, so
// that its entries stand between two of the counts, whatever the group count is.
`default_nettype none

module engine_list #(
    parameter int unsigned CHANNELS = 64,  /// at most, a power of two
    localparam int unsigned AW = $clog2(CHANNELS)
) (
    input  wire          clk,
    input  wire          clear,      /// no entries; not with `valid`
    input  wire          valid,
    input  wire [AW-1:0] channel,
    input  wire          keep,
    input  wire [5:0]    sixteenth,  /// channels in a sixteenth
    input  wire [1:0][AW-1:0] at,    /// entries that are read, in the same cycle
    output wire [1:0][AW-1:0] entry,
    input  wire [1:0][4:0]  bound,   /// a number of sixteenths, 0 to 16
    output wire [1:0][AW:0] below,   /// entries below it
    output logic [15:0]  any         /// sixteenths with entries
);
    (* ram_style = "distributed" *) logic [AW-1:0] entries[CHANNELS];
    (* ram_style = "distributed" *) logic [AW:0] counts[32];
    logic [AW:0] count;
    logic [4:0]  number;  // of the sixteenth
    logic [5:0]  left;    // channels of it that have yet to come
    logic        last;    // one
    wire  [AW:0] counted = count + (AW + 1)'(keep);
    always_ff @(posedge clk) begin
        if (clear) begin
            count <= '0;
            number <= '0;
            left <= sixteenth;
            last <= sixteenth == 6'd1;
            any <= '0;
        end else if (valid) begin
            count <= counted;
            left <= last ? sixteenth : left - 6'd1;
            last <= last ? sixteenth == 6'd1 : left == 6'd2;
            if (last) number <= number + 5'd1;
            if (keep) any[number[3:0]] <= 1'b1;
        end
        if (valid && keep) entries[count[AW-1:0]] <= channel;
        if (clear || (valid && last)) counts[clear ? 5'd0 : number + 5'd1] <= clear ? '0 : counted;
    end
    for (genvar i = 0; i < 2; i++) begin : port
        assign entry[i] = entries[at[i]];
        assign below[i] = counts[bound[i]];
    end
endmodule

`default_nettype wire
