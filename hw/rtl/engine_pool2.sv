// 2x2 pool of a word of pixels, two cycles: the largest of four codes, or the table's code of the sum of four levels.
//
// The sums go through the table here (`four` out, `four_code` in, of the same cycle). A window lies in the rows 2i and
// 2i+1 of a word. The results, four of every two rows, stand in every segment, where the bank that takes them looks for
// them: in both halves of a segment, or in a 16x4 block the left halves of its rows in the lower one. A layer without a
// pool passes through.
`default_nettype none

module engine_pool2
    import engine_pkg::*;
#(
    parameter int unsigned R    = 64,  /// at least 16
    parameter bit          SUMS = 0,   /// with pools of sums
    localparam int unsigned U = R / 8, ROWS = R / 16
) (
    input  wire                         clk,
    input  wire  [1:0]                  pool2,
    input  wire                         side,       /// 16x4 block
    input  wire  [U-1:0][7:0][3:0]      code,
    // For pools of sums alone.
    // verilator lint_off UNUSEDSIGNAL
    input  wire  [U-1:0][7:0][4:0]      level,      /// two cycles before `code`
    input  wire  [U-1:0][7:0]           on_map,     /// one cycle before `code`
    input  wire  [ROWS-1:0][3:0][3:0]   four_code,
    // verilator lint_on UNUSEDSIGNAL
    output wire  [ROWS-1:0][3:0][5:0]   four,
    output logic [U-1:0][7:0][3:0]      segment     /// two cycles after `code`
);
    // Of a window, the upper and the lower pixel of each column; then, the two columns.
    logic [U-1:0][7:0][3:0] column;
    always_ff @(posedge clk)
        for (int unsigned u = 0; u < U; u++)
            for (int unsigned m = 0; m < 8; m++)
                column[u][m] <= (pool2 == POOL_MAX && u % 2 == 0 && code[u|1][m] > code[u][m]) ? code[u|1][m] : code[u][m];

    logic [ROWS-1:0][3:0][3:0] pooled, summed;
    always_comb
        for (int unsigned i = 0; i < ROWS; i++)
            for (int unsigned m = 0; m < 4; m++)
                pooled[i][m] = (SUMS && pool2 == POOL_SUM) ? summed[i][m]
                             : (column[2*i][2*m+1] > column[2*i][2*m]) ? column[2*i][2*m+1] : column[2*i][2*m];

    if (SUMS) begin : sums
        logic [ROWS-1:0][7:0][4:0] two;
        logic [ROWS-1:0][3:0][5:0] sum;
        logic [U-1:0][7:0]         on_map_q;
        always_ff @(posedge clk) begin
            on_map_q <= on_map;
            for (int unsigned i = 0; i < ROWS; i++) begin
                for (int unsigned m = 0; m < 8; m++)
                    two[i][m] <= {1'b0, level[2*i][m][3:0]} + {1'b0, level[2*i+1][m][3:0]};
                for (int unsigned m = 0; m < 4; m++) begin
                    sum[i][m] <= {1'b0, two[i][2*m]} + {1'b0, two[i][2*m+1]};
                    summed[i][m] <= on_map_q[2*i][2*m] ? four_code[i][m] : '0;
                end
            end
        end
        assign four = sum;
    end else begin : no_sums
        assign four = '0;
        assign summed = '0;
    end

    always_ff @(posedge clk)
        for (int unsigned u = 0; u < U; u++)
            if (pool2 == POOL_NONE) segment[u] <= column[u];
            else if (side && ROWS == 4) segment[u] <= {pooled[(2+u%2)%ROWS], pooled[(u%2)%ROWS]};
            else segment[u] <= {2{pooled[u%ROWS]}};

    if (R < 16) begin : bad_r
        $error("engine_pool2: R must be 16, 32 or 64");
    end
endmodule

`default_nettype wire
