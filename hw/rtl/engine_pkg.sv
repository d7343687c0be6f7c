// What travels between the units of the tile engine.
`default_nettype none

package engine_pkg;
    localparam int unsigned SCALE_WIDTH = 25;  // requantisation scale, signed: the wide port of a DSP48
    localparam int unsigned BIAS_WIDTH = 29;   // requantisation bias, signed, in units of 2^BIAS_SHIFT
    localparam int unsigned BIAS_SHIFT = 10;
    localparam int unsigned REQUANT_SHIFT = 26;
    localparam int unsigned FINE_BITS = 8;     // by which the shift, and the bias with it, is larger in a layer with `fine`

    // Map sizes, the code of the descriptor field `size`.
    typedef enum logic [1:0] {SIZE_8 = 2'd0, SIZE_16 = 2'd1, SIZE_32 = 2'd2} size_e;

    // 2x2 pools behind a convolution, the code of the descriptor field `pool2`.
    typedef enum logic [1:0] {POOL_NONE = 2'd0, POOL_MAX = 2'd1, POOL_SUM = 2'd2} pool2_e;

    // What a layer's descriptor is for.
    typedef enum logic [1:0] {KIND_CONV = 2'd0, KIND_CLASSIFIER = 2'd1, KIND_GATE = 2'd2, KIND_EXCITE = 2'd3} kind_e;

    // One cycle of the sequencer. `valid` is low in a cycle that only waits for the requantisers.
    typedef struct packed {
        logic       valid;
        logic       blank;  // nothing to add: the tuple has no active inputs
        logic       first;  // start a sum
        logic       shift;  // sum * 16 before adding: the upper nibbles of the image are done
        logic       last;   // the sums of this tuple are complete
        logic       pair;   // the tuple has two outputs
        logic [8:0] out;    // first output channel of the tuple
        logic [8:0] second; // second one of a pair
        logic [4:0] y;      // first row and column of the block in the output map
        logic [4:0] x;
    } tile_t;

    // The active channels of one group.
    typedef struct packed {
        logic       last;       // group of the block
        logic [8:0] in_base;    // position of its first input in the list of all
        logic [8:0] in_count;
        logic [8:0] out_count;
    } group_t;

    // One cycle in which a network image is written into a memory: which one, by its number in the image.
    typedef struct packed {
        logic [15:0]  write;
        logic         second;  // of a pair of kernels
        logic [16:0]  addr;    // of the word, or of a pair's first
        logic [7:0]   upper;   // of a pair: its bits 71:64
        logic [3:0][63:0] beats;  // the last ones: a word of n beats is the last n, a pair's bits 63:0 the last one
    } load_t;

    // What the host tells the gates; it stands still while a batch runs.
    typedef struct packed {
        logic signed [31:0] channel_threshold;
        logic signed [31:0] layer_threshold;
        logic               forced;        // decisions are given
        logic               forced_write;  // 32 of them
        logic [7:0]         forced_word;
        logic [31:0]        forced_bits;
    } gate_host_t;

    // What the host tells the exits.
    typedef struct packed {
        logic        enable;        // limits and margins hold; it stands still while a batch runs
        logic        write_limit;   // of the exit `number` in the mode `mode`
        logic        write_margin;  // of that exit in all modes
        logic [7:0]  mode;
        logic [7:0]  number;
        logic [31:0] value;
    } exit_host_t;

    // Constants of one product of a layer that is several.
    typedef struct packed {
        logic [16:0] weight_base;
        logic [14:0] bias_base;
        logic [5:0]  shift;
        logic [14:0] multiplier;
    } products_t;

    // What an accumulator does with a sum.
    typedef struct packed {
        logic valid;
        logic first;
        logic shift;
    } control_t;

    // One word of R requantised pixels on its way back to a feature memory.
    typedef struct packed {
        logic       valid;
        logic [8:0] out;    // output channel, before the shuffle
        logic [3:0] word;   // which R pixels of the block
        logic [4:0] y;
        logic [4:0] x;
    } drain_t;

    // The multiple 0, w, 2w or 3w of a weight that a two-bit digit of a pixel selects; 3w comes ready made. One LUT
    // per bit, and the same LUT as an addition that takes it.
    function automatic logic signed [5:0] multiple(logic [1:0] digit, logic signed [3:0] weight, logic signed [5:0] triple);
        case (digit)
            2'd0: return '0;
            2'd1: return 6'(weight);
            2'd2: return {weight[3], weight, 1'b0};
            default: return triple;
        endcase
    endfunction
    // tanh(x) = 2 sigmoid(2x) - 1 in units of 1/256, of sigmoid(2x) (engine_sigmoid).
    function automatic logic signed [9:0] tanh_of(logic [8:0] made);
        return $signed({made, 1'b0}) - 10'sd256;
    endfunction
endpackage

`default_nettype wire
