// From 16 memory rows to nine taps for every pixel lane.
//
// Cycle 1 takes the rows of the layer's source memory and rotates them so that row 0 is the first row of the block,
// cycle 2 chooses the columns and puts zeros where the window leaves the map, cycle 3 hands each lane its nine taps.
// Window row k is map row y-1+k, window column m is map column x-1+m. Lane l is row (l/8) and column (l mod 8) of an
// 8-wide block, except where P = 64 and stride 2 makes a 16-wide map: there the upper 32 lanes lie to the right of
// the lower ones, because nine rows of a 32-wide map hold all that 16x4 outputs need.
//
// Four quarters of 4x4 lanes may do the same window, of an 8x8 map at stride 2 (`packed`): the rows come twice, one below the other, and
// `engine_write_back` has written the columns twice. What lies across the middle there is outside of the map.
`default_nettype none

module engine_align #(
    parameter int unsigned P = 64, /// pixel lanes: 64 or 32
    parameter bit          PACK = 0  /// with `packed`; needs P = 64
) (
    input  wire                 clk,
    input  wire  [15:0][127:0]  x_rows,   /// feature memory X, bank order
    input  wire  [15:0][127:0]  m_rows,   /// feature memory M
    input  wire                 from_m,   /// the layer's source
    input  wire                 stride2,
    input  wire                 side,     /// 16x4 block
    // Of some engines.
    // verilator lint_off UNUSEDSIGNAL
    input  wire                 packs, /// all quarters do the same
    // verilator lint_on UNUSEDSIGNAL
    input  wire  [1:0]          size_in,  /// of the source map
    input  wire  [1:0]          rotation, /// first row's bank / 4, with the rows
    input  wire  [4:0]          y,        /// of the window in the source map, with the rows
    input  wire  [4:0]          x,
    output logic [P-1:0][35:0]  taps      /// three cycles after the rows
);
    localparam int unsigned ROWS = 17, COLUMNS = 33;
    localparam int unsigned BLOCK = P / 8;  // rows of an 8-wide block, and the granularity of the rotation

    logic [15:0][127:0] row;      // row[j] is map row y+j, row[15] is also row y-1
    logic [ROWS-1:0]    row_in;   // inside the map
    logic [COLUMNS-1:0] column_in;
    logic [1:0]         column_base;

    wire [5:0] height = 6'd8 << size_in;
    wire quarters = PACK && packs;
    wire [15:0][127:0] source = from_m ? m_rows : x_rows;
    always_ff @(posedge clk) begin
        for (int unsigned j = 0; j < 16; j++) begin
            if (BLOCK == 8) row[j] <= (rotation[1] ^ (quarters && j >= 8)) ? source[(j+8)%16] : source[j];
            else
                case (rotation)
                    2'd0: row[j] <= source[j];
                    2'd1: row[j] <= source[(j+4)%16];
                    2'd2: row[j] <= source[(j+8)%16];
                    default: row[j] <= source[(j+12)%16];
                endcase
        end
        for (int unsigned k = 0; k < ROWS; k++)
            row_in[k] <= quarters ? k != 0 : (k != 0 || y != 5'd0) && (7'(y) + 7'(k) < 7'(height) + 7'd1);
        for (int unsigned m = 0; m < COLUMNS; m++)
            column_in[m] <= quarters ? m != 0 : (m != 0 || x != 5'd0) && (7'(x) + 7'(m) < 7'(height) + 7'd1);
        column_base <= x[4:3];
    end

    logic [ROWS-1:0][COLUMNS-1:0][3:0] window;
    for (genvar k = 0; k < ROWS; k++) begin : window_row
        wire [127:0] pixels = row[(k+15)%16];
        for (genvar m = 0; m < COLUMNS; m++) begin : window_column
            // A window that starts at column 8, 16 or 24 is 10 wide and BLOCK + 2 high, or 17 by 9 for P = 32 at
            // stride 2. Only the halo of a block can leave the map; at stride 2 only its first row and column.
            localparam int unsigned BASES = (m <= 9 && k <= BLOCK + 1) ? 4 : (m <= 16 && P == 32) ? 3 : 1;
            localparam bit ROW_HALO = k == 0 || k == BLOCK + 1, COLUMN_HALO = m == 0 || m == 9;
            wire [3:0][3:0] candidate;
            for (genvar c = 0; c < 4; c++) begin : base
                localparam int COLUMN = 8 * c + m - 1;
                assign candidate[c] = (c < BASES && COLUMN >= 0 && COLUMN < 32) ? pixels[4*(COLUMN&31)+:4] : 4'd0;
            end
            wire [3:0] pixel = (BASES == 1) ? candidate[0] : candidate[column_base];
            wire in_map = (!ROW_HALO || row_in[k]) && (!COLUMN_HALO || column_in[m]);
            always_ff @(posedge clk) window[k][m] <= in_map ? pixel : 4'd0;
        end
    end

    for (genvar l = 0; l < P; l++) begin : lane
        for (genvar t = 0; t < 9; t++) begin : tap
            localparam int unsigned ROW = l / 8, COLUMN = l % 8, KY = t / 3, KX = t % 3;
            wire [3:0] dense = window[ROW+KY][COLUMN+KX];
            localparam bit ACROSS = PACK && ((ROW == 4 && KY == 0) || (COLUMN == 4 && KX == 0));
            wire [3:0] below = (ACROSS && quarters) ? 4'd0 : window[2*ROW+KY][2*COLUMN+KX];
            wire [3:0] beside = window[2*(ROW%4)+KY][2*(COLUMN+8*(ROW/4))+KX];
            always_ff @(posedge clk) taps[l][4*t+:4] <= !stride2 ? dense : side ? beside : below;
        end
    end

    if (PACK && P != 64) begin : bad_pack
        $error("engine_align: PACK needs P = 64");
    end
    if (P != 64 && P != 32) begin : bad_p
        $error("engine_align: P must be 64 or 32");
    end
endmodule

`default_nettype wire
