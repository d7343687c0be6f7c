// Takes a network image and writes it into the engine's memories: header, sections, padding; all described in hw/interface.json.
//
// A beat of 64 bits comes in any cycle. A section is a header (memory, first address, words) and its words, each in as many beats as it
// needs. Of kernels two are written in a cycle: eight beats of 64 bits for eight pairs, and before them a beat with the eight upper
// bytes of these pairs, so that nothing is padded. What follows the section of memory 0 only fills up to the end.
//
// An image of another engine, one that is not as long as the host says, a section beyond its memory and a wrong check sum set `error`,
// which stays; the rest of the image is taken and dropped. `done` tells that everything is written.
`default_nettype none

module engine_network
    import engine_pkg::*;
    import gatefold_pkg::*;
#(
    parameter logic [31:0] ENGINE_HASH   = 32'h0,
    parameter int unsigned V             = 16,
    parameter int unsigned WEIGHT_DEPTH  = 4096,
    parameter int unsigned PACK          = 0,
    parameter int unsigned REQUANT_DEPTH = 512,
    parameter int unsigned FC_DEPTH      = 64,
    parameter int unsigned BIASES        = 10,
    parameter int unsigned MODES         = 5,
    parameter int unsigned PROGRAM_DEPTH = 80,
    parameter int unsigned PRODUCTS      = 0,  /// 0: none, as with TABLE_DEPTH
    parameter int unsigned TABLE_DEPTH   = 0
) (
    input  wire         clk,
    input  wire         rst_n,
    input  wire         start,   /// an image of so many blocks of 16 beats follows
    input  wire  [31:0] blocks,
    input  wire         valid,
    input  wire  [63:0] data,
    output logic        last,    /// the beat that comes next is the image's last one
    output load_t       load,
    output logic        done,
    output logic [7:0]  error,   /// zero: none
    output logic [7:0]  modes    /// of the network; it outlives a reset as the memories do
);
    localparam int unsigned FC_BEATS = (V * 8 + 63) / 64;

    // The next beat stands in registers; how many are left is counted where they come.
    logic [31:0] said;  // blocks that the host says
    logic        here;
    logic [63:0] beat;
    logic        final_beat;
    logic        not_magic, not_format, not_engine, not_modes;  // the beat is not what the header has there
    logic [35:0] left;
    always_ff @(posedge clk) begin
        if (!rst_n) here <= 1'b0;
        else here <= valid;
        beat <= data;
        final_beat <= last;
        not_magic <= data != NETWORK_MAGIC;
        not_format <= data != {said, NETWORK_FORMAT};
        not_engine <= data[31:0] != ENGINE_HASH;
        not_modes <= data == '0 || data > 64'(MODES);
        if (start) left <= {blocks, 4'd0};
        else if (valid) left <= left - 36'd1;
        last <= start ? 1'b0 : left == 36'd1 ? !valid : valid && left == 36'd2;
    end

    // CRC-32 (IEEE 802.3) of all beats behind the header, the lowest bit of each first: linear in what it was and in the beat.
    function automatic logic [31:0] crc_of(input logic [31:0] start_value, input logic [63:0] word);
        logic [31:0] crc;
        crc = start_value;
        for (int unsigned b = 0; b < 64; b++) crc = (crc >> 1) ^ ((crc[0] ^ word[b]) ? NETWORK_CRC : 32'd0);
        return crc;
    endfunction

    typedef logic [95:0] mask_t;
    function automatic mask_t mask_of(input logic [4:0] bit_of);
        logic [31:0] seen;
        for (int unsigned i = 0; i < 96; i++) begin
            seen = (i < 64) ? crc_of('0, 64'd1 << i) : crc_of(32'd1 << (i - 64), '0);
            mask_of[i] = seen[bit_of];
        end
    endfunction
    logic [31:0] crc, crc_beat, crc_next;
    logic        crc_due;
    for (genvar i = 0; i < 32; i++) begin : crc_bit
        localparam mask_t MASK = mask_of(5'(i));
        always_ff @(posedge clk) crc_beat[i] <= ^(beat & MASK[63:0]);
        assign crc_next[i] = crc_beat[i] ^ (^(crc & MASK[95:64]));
    end

    // What is wrong with the image.
    typedef enum logic [1:0] {NONE, BAD_IMAGE, OTHER_ENGINE, DAMAGED} flaw_e;
    flaw_e       flaw;
    always_comb
        case (flaw)
            BAD_IMAGE:    error = ERR_BAD_NETWORK;
            OTHER_ENGINE: error = ERR_OTHER_ENGINE;
            DAMAGED:      error = ERR_DAMAGED_NETWORK;
            default:      error = ERR_NONE;
        endcase

    typedef enum logic [3:0] {IDLE, HEADER, SECTION, UPPER, WORDS, REST, SUM, CLOSE, BAD} state_e;
    state_e      state;
    logic [31:0] wanted;             // check sum
    logic [3:0]  place;              // beat of the header, of a word, pair of the eight
    logic [3:0]  memory;
    logic [15:0] chosen;             // the same, one bit each
    logic        kernels, written;   // it holds kernels; a word is complete
    assign load.write = written ? chosen : '0;
    logic [16:0] addr;
    logic [17:0] words;              // left
    logic [63:0] upper;

    // Of a memory: whether the engine has it, its depth, beats of a word less one.
    typedef struct packed {
        logic        there;
        logic [17:0] depth;
        logic [3:0]  more;
    } memory_t;
    function automatic memory_t memory_of(input logic [7:0] number);
        case (number)
            8'(MEMORY_WEIGHTS):    return '{1'b1, 18'(WEIGHT_DEPTH), 4'd0};
            8'(MEMORY_WEIGHTS_1), 8'(MEMORY_WEIGHTS_2), 8'(MEMORY_WEIGHTS_3): return '{PACK != 0, 18'(PACK), 4'd0};
            8'(MEMORY_REQUANT):    return '{1'b1, 18'(REQUANT_DEPTH), 4'd0};
            8'(MEMORY_FC_WEIGHTS): return '{1'b1, 18'(FC_DEPTH), 4'(FC_BEATS - 1)};
            8'(MEMORY_FC_BIAS):    return '{1'b1, 18'(BIASES), 4'd0};
            8'(MEMORY_PROGRAM):    return '{1'b1, 18'(PROGRAM_DEPTH), 4'd2};
            8'(MEMORY_PRODUCTS):   return '{PRODUCTS != 0, 18'(PRODUCTS), 4'd0};
            8'(MEMORY_TABLES):     return '{TABLE_DEPTH != 0, 18'(TABLE_DEPTH), 4'd0};
            default:               return '0;
        endcase
    endfunction
    memory_t now;
    always_ff @(posedge clk) now <= memory_of((state == SECTION) ? beat[7:0] : {4'd0, memory});

    // A section is checked while its first word is gathered.
    logic        fresh;
    logic [32:0] section_end;

    wire complete = kernels || place == now.more;

    always_ff @(posedge clk) begin
        done <= 1'b0;
        written <= 1'b0;
        if (!rst_n) begin
            state <= IDLE;
            flaw <= NONE;
            fresh <= 1'b0;
        end else begin
            fresh <= 1'b0;
            if (here)
                case (state)
                    HEADER: begin
                        place <= place + 4'd1;
                        if (place == 4'(NETWORK_MAGIC_BEAT) && not_magic) flaw <= BAD_IMAGE;
                        if (place == 4'(NETWORK_FORMAT_BEAT) && not_format) flaw <= BAD_IMAGE;
                        if (place == 4'(NETWORK_ENGINE_BEAT) && not_engine) flaw <= OTHER_ENGINE;
                        if (place == 4'(NETWORK_MODES_BEAT) && not_modes) flaw <= BAD_IMAGE;
                        if (place == 4'd15) state <= SECTION;
                    end
                    SECTION: begin
                        state <= (beat[7:0] == 8'(MEMORY_END)) ? REST : (beat[7:0] <= 8'(MEMORY_WEIGHTS_3)) ? UPPER : WORDS;
                        fresh <= beat[7:0] != 8'(MEMORY_END);
                        place <= '0;
                    end
                    UPPER: state <= WORDS;
                    WORDS: begin
                        place <= (kernels ? place == 4'd7 : complete) ? '0 : place + 4'd1;
                        written <= complete && flaw == NONE;
                        if (complete && words <= (kernels ? 18'd2 : 18'd1)) state <= SECTION;
                        else if (kernels && place == 4'd7) state <= UPPER;
                    end
                    default: ;
                endcase
            // Words of no memory, and such beyond it.
            if (fresh && (!now.there || section_end > 33'(now.depth) || words == '0 || (kernels && addr[0])))
                flaw <= BAD_IMAGE;
            if (here && final_beat) state <= (state == REST || (state == SECTION && beat[7:0] == 8'(MEMORY_END))) ? SUM : BAD;
            if (state == SUM) state <= CLOSE;
            if (state == CLOSE) begin
                state <= IDLE;
                done <= flaw == NONE && crc == wanted;
                if (flaw == NONE && crc != wanted) flaw <= DAMAGED;
            end
            if (state == BAD) flaw <= BAD_IMAGE;
            // The first flaw stays, and nothing more is written, whatever the state goes through.
            if (flaw != NONE) flaw <= flaw;
            if (start) begin
                state <= (blocks == '0) ? BAD : HEADER;
                place <= '0;
            end
        end
    end

    always_ff @(posedge clk) begin
        if (start) said <= blocks;
        crc_due <= here && state != HEADER;
        if (start) crc <= '1;
        else if (crc_due) crc <= crc_next;
        if (here && state == HEADER && place == 4'(NETWORK_MODES_BEAT)) modes <= beat[7:0];
        if (here && state == HEADER && place == 4'(NETWORK_ENGINE_BEAT)) wanted <= ~beat[63:32];
        if (here && state == SECTION) begin
            memory <= beat[3:0];
            chosen <= 16'd1 << beat[3:0];
            kernels <= beat[3:0] >= 4'(MEMORY_WEIGHTS) && beat[3:0] <= 4'(MEMORY_WEIGHTS_3);
            addr <= beat[24:8];
            words <= beat[49:32];
            section_end <= 33'(beat[31:8]) + 33'(beat[63:32]);
        end else if (here && state == WORDS && complete) begin
            addr <= addr + (kernels ? 17'd2 : 17'd1);
            words <= words - (kernels ? 18'd2 : 18'd1);
        end
        if (here && state == UPPER) upper <= beat;
        else if (here) upper <= upper >> 8;
        load.second <= words > 18'd1;
        load.addr <= addr;
        load.upper <= upper[7:0];
        if (here) load.beats <= {beat, load.beats[3:1]};
    end

    if (V * 8 > 256) begin : bad_v
        $error("engine_network: V must be at most 32");
    end
endmodule

`default_nettype wire
