// Which of R pixels lie in the valid part of the map, two cycles after `drain`: its rows and columns, then its pixels. Of packed tuples
// each word has the pixels of one quarter, whose number it says.
`default_nettype none

module engine_mask
    import engine_pkg::*;
#(
    parameter int unsigned R = 64,
    localparam int unsigned U = R / 8  // segments per word
) (
    input  wire           clk,
    // Of a whole record, the place.
    // verilator lint_off UNUSEDSIGNAL
    input  wire drain_t   drain,
    // verilator lint_on UNUSEDSIGNAL
    input  wire           side,     /// 16x4 block
    input  wire           packs,
    input  wire  [4:0]    rows,     /// last valid row and column of the map before a pool
    input  wire  [4:0]    columns,
    output logic [R-1:0]  on_map
);
    // Blocks lie at multiples of their rows and columns, so that a pixel's are put together without a sum.
    logic [15:0] column_in;
    for (genvar m = 0; m < 16; m++) begin : column
        always_ff @(posedge clk)
            column_in[m] <= packs ? 6'(m % 4) < {1'b0, columns} + 6'd1 && drain.word[0] == 1'(m / 4) : (drain.x | 5'(m)) <= columns;
    end
    for (genvar u = 0; u < U; u++) begin : segment
        // verilator lint_off UNUSEDSIGNAL
        wire [6:0] number = 7'(drain.word) * 7'(U) + 7'(u);  // at most P / 8
        // verilator lint_on UNUSEDSIGNAL
        logic row_in, right;
        always_ff @(posedge clk) begin
            if (packs) row_in <= 6'(u % 4) < {1'b0, rows} + 6'd1 && drain.word[1] == 1'(u / 4);
            else row_in <= (drain.y | 5'({number[2] && !side, number[1:0]})) <= rows;
            right <= side && number[2];
            on_map[8*u+:8] <= !row_in ? '0 : right ? column_in[15:8] : column_in[7:0];
        end
    end
endmodule

`default_nettype wire
