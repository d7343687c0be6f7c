// Where R requantised pixels of one channel go, and where their residual comes from.
//
// The words of an arriving image take the same way into M, in cycles in which no pixels come.
//
// A word is R/8 segments of eight pixels, consecutive in lane order. In an 8-wide block segment s is row s; in a
// 16x4 block segments 4..7 are the right halves of rows 0..3. Rows lie in bank (row mod 16), rows of 8-row maps eight
// banks higher for odd channels.
//
// Counted from the cycle that presents `drain`: the residual's address is out at once, its rows come one cycle later,
// `residual` two; `segment` is expected three cycles later and written in the fourth.
`default_nettype none

module engine_write_back
    import engine_pkg::*;
#(
    parameter int unsigned P = 64,
    parameter int unsigned R = 64,
    localparam int unsigned U = R / 8  // segments per word
) (
    input  wire                       clk,
    input  wire                       rst_n,
    input  wire  drain_t              drain,
    input  wire                       discard,   /// write nothing (the pixels are only pooled)
    input  wire  [1:0]                size,      /// of the output map
    input  wire                       side,      /// 16x4 block
    input  wire  [2:0]                shuffle,   /// log2(channels / 16), 0: none
    input  wire  [7:0]                base,      /// word base of the output map
    output logic [7:0]                raddr,
    input  wire  [15:0][127:0]        rows,
    output logic [U-1:0][31:0]        residual,  /// 8-wide blocks only
    input  wire  [U-1:0][31:0]        segment,   /// pixels to write
    input  wire                       image_write,
    output wire                       image_ready,  /// the image word is taken in this cycle
    input  wire  [3:0]                image_bank,
    input  wire  [7:0]                image_addr,
    input  wire  [127:0]              image_data,
    output logic                      to_m,      /// the write is an image word
    output logic [7:0]                waddr,
    output logic [15:0][3:0]          we,
    output logic [15:0][127:0]        wdata
);
    localparam int unsigned HEIGHT = P / 8;  // rows of an 8-wide block
    localparam int unsigned LU = $clog2(U);

    typedef struct packed {
        logic       valid;
        logic [3:0] word;
        logic [7:0] addr;
        logic [3:0] top;    // bank of the block's first row
        logic [1:0] chunk;
    } place_t;

    // The shuffle turns channel a*n+b into b*16+a, n = channels / 16 = 2^shuffle.
    wire [8:0] low_mask = (9'd1 << shuffle) - 9'd1;
    wire [8:0] channel = (shuffle == 3'd0) ? drain.out : ((drain.out & low_mask) << 4) | (drain.out >> shuffle);

    place_t place, place1, place2, place3;
    always_comb begin
        place.valid = drain.valid && !discard;
        place.word = drain.word;
        place.top = drain.y[3:0] + ((size == SIZE_8 && channel[0]) ? 4'd8 : 4'd0);
        place.chunk = drain.x[4:3];
        case (size)
            SIZE_8: place.addr = base + 8'(channel >> 1);
            SIZE_16: place.addr = base + 8'(channel);
            default: place.addr = base + {channel[6:0], drain.y[4]};
        endcase
        raddr = place.addr;
    end
    always_ff @(posedge clk) begin
        place1 <= place;
        place2 <= place1;
        place3 <= place2;
        if (!rst_n) begin
            place1.valid <= 1'b0;
            place2.valid <= 1'b0;
            place3.valid <= 1'b0;
        end
    end

    for (genvar u = 0; u < U; u++) begin : residual_segment
        wire [3:0] below = place1.word * 4'(U);
        wire [3:0] bank = (((place1.top + below) >> LU) << LU) | 4'(u);
        wire [127:0] row = rows[bank];
        always_ff @(posedge clk) residual[u] <= row[32*place1.chunk+:32];
    end

    assign image_ready = !place3.valid;
    always_ff @(posedge clk) begin
        to_m <= image_ready;
        waddr <= image_ready ? image_addr : place3.addr;
    end
    for (genvar b = 0; b < 16; b++) begin : bank
        for (genvar c = 0; c < 4; c++) begin : chunk
            // In a 16x4 block, chunk c holds segments 4c..4c+3.
            localparam int unsigned BELOW = b % HEIGHT, BESIDE = (4 * c + b % 4) % HEIGHT;
            wire in_rows = (HEIGHT == 8 && !side) ? place3.top[3] == 1'(b / 8) : place3.top[3:2] == 2'(b / 4);
            wire in_word = place3.word == (side ? 4'(BESIDE / U) : 4'(BELOW / U));
            wire in_chunk = side ? c < 2 : place3.chunk == 2'(c);
            wire enable = image_ready ? image_write && image_bank == 4'(b) : in_rows && in_word && in_chunk;
            always_ff @(posedge clk) begin
                we[b][c] <= rst_n && enable;
                wdata[b][32*c+:32] <= image_ready ? image_data[32*c+:32]
                                    : (side && c < 2) ? segment[BESIDE%U] : segment[BELOW%U];
            end
        end
    end
endmodule

`default_nettype wire
