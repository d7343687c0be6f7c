// No layer writes into a map that it, or a later layer of the frame, still has to read.
//
// Looked up in the program that was loaded when a layer begins: it holds the places of all maps and says which layers read them.
`default_nettype none

module engine_program_checks
    import engine_pkg::*;
    import gatefold_pkg::*;
#(
    parameter int unsigned MODES  = 5,
    parameter int unsigned LAYERS = 16,
    parameter int unsigned PLANES = 3
) (
    input wire                               clk,
    input wire                               rst_n,
    /// A layer begins: the program's word at `program_addr`.
    input wire                               begins,
    input wire  [$clog2(MODES * LAYERS)-1:0] program_addr,
    /// What a network image writes, of which these rules look at the program.
    // verilator lint_off UNUSEDSIGNAL
    input wire  load_t                       load
    // verilator lint_on UNUSEDSIGNAL
);
    localparam int unsigned IMAGE_BUFFERS = 2;

    logic [DESCRIPTOR_WIDTH-1:0] words[MODES * LAYERS];
    always_ff @(posedge clk) if (load.write[MEMORY_PROGRAM]) words[32'(load.addr)] <= DESCRIPTOR_WIDTH'(load.beats[3:1]);

    // An address has as many bits as a count; of a record, a function looks at a part.
    // verilator lint_off UNUSEDSIGNAL
    function automatic descriptor_t layer_at(int unsigned address);
        return descriptor_t'(words[address]);
    endfunction

    // A map: words of a feature memory, in every bank.
    typedef struct packed {
        logic        in_m;
        logic [31:0] first;
        logic [31:0] count;
    } map_t;

    // Where kernels are kept within groups alone, a row of them is as long as a group.
    function automatic logic [8:0] inputs_of(descriptor_t at);
        return (MODES != 1 && at.in_count == at.in_per_group) ? at.in_per_group * 9'(at.groups) : at.in_count;
    endfunction

    function automatic logic [31:0] words_of(logic [8:0] channels, logic [1:0] size);
        case (size)
            SIZE_8: return (32'(channels) + 1) / 2;
            SIZE_16: return 32'(channels);
            default: return 2 * 32'(channels);
        endcase
    endfunction

    // Of the image, both buffers, which lie behind one another; its planes are two channels each, however often they are read.
    function automatic map_t source(descriptor_t at);
        source.in_m = at.src;
        source.first = 32'(at.src_base);
        source.count = words_of(at.image ? 9'(2 * PLANES) : inputs_of(at), at.size + 2'(at.stride2 && !at.keep));
        if (at.image) source.count = source.count * IMAGE_BUFFERS;
    endfunction

    function automatic map_t target(descriptor_t at);
        target.in_m = at.dst;
        target.first = 32'(at.dst_base);
        target.count = words_of(at.out_count, at.size - 2'(at.pool2 != POOL_NONE && at.size != SIZE_8));
    endfunction
    // verilator lint_on UNUSEDSIGNAL

    // A residual lies in X, where the result goes.
    function automatic map_t residual(descriptor_t at);
        residual = target(at);
        residual.in_m = 1'b0;
    endfunction

    function automatic logic overlap(map_t a, map_t b);
        return a.in_m == b.in_m && a.first < b.first + b.count && b.first < a.first + a.count;
    endfunction

    // The layer at `now` destroys `map`, which the layer at `later` reads: it writes into it, and neither itself nor a
    // layer in between makes it.
    function automatic logic destroys(int unsigned now, int unsigned later, map_t map);
        if (!overlap(target(layer_at(now)), map)) return 1'b0;
        for (int unsigned maker = now; maker < later; maker++)
            if (layer_at(maker).kind == KIND_CONV && target(layer_at(maker)) == map && !layer_at(maker).discard) return 1'b0;
        return 1'b1;
    endfunction

    function automatic logic spoils(int unsigned now);
        descriptor_t at = layer_at(now);
        if (at.kind != KIND_CONV || at.discard) return 1'b0;
        if (overlap(target(at), source(at))) return 1'b1;
        for (int unsigned later = now + 1; later < MODES * LAYERS && !at.last; later++) begin
            at = layer_at(later);
            if (at.kind == KIND_CLASSIFIER) return 1'b0;
            if (at.kind != KIND_CONV) continue;
            if (destroys(now, later, source(at)) || (at.residual && destroys(now, later, residual(at)))) return 1'b1;
        end
        return 1'b0;
    endfunction

    logic on;
    after_reset contracts (.clk, .rst_n, .on);

    always_ff @(posedge clk) if (on && begins)
        unread: assert (!spoils(32'(program_addr)))
            else $fatal(1, "layer %0d of mode %0d writes into a map that is still to be read",
                        32'(program_addr) % LAYERS, 32'(program_addr) / LAYERS);
endmodule

bind tile_engine engine_program_checks #(.MODES(MODES), .LAYERS(LAYERS), .PLANES(PLANES)) program_checks (
    .begins(sequencer.state == 3'd3), .program_addr(program_addr), .load(load), .clk(clk), .rst_n(rst_n)
);

`default_nettype wire
