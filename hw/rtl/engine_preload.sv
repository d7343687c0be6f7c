// Hands a network image from a memory of its own to the engine, and then lets the stream of frames through: for an engine without a host,
// a node of a FINN design.
`default_nettype none

module engine_preload
    import gatefold_pkg::*;
#(
    parameter int unsigned WORDS = 32,           /// of the image, a multiple of 16
    parameter              FILE  = "network.mem" /// $readmemh image, one 64-bit word a line
) (
    input  wire         clk,
    input  wire         rst_n,
    input  wire  [63:0] s_axis_tdata,
    input  wire         s_axis_tvalid,
    output wire         s_axis_tready,
    output wire  [63:0] m_axis_tdata,
    output wire         m_axis_tvalid,
    input  wire         m_axis_tready
);
    localparam int unsigned AW = $clog2(WORDS);
    (* ram_style = "block" *) logic [63:0] mem[WORDS];
    initial $readmemh(FILE, mem);

    typedef enum logic [1:0] {HEADER, FETCH, WORD, FRAMES} state_e;
    state_e state;
    logic [AW-1:0] at;
    logic [63:0]   header, word;
    always_comb begin
        header = {32'(WORDS / 16), 32'd0};
        header[HEADER_NETWORK] = 1'b1;
    end
    always_ff @(posedge clk) begin
        word <= mem[at];
        if (!rst_n) begin
            state <= HEADER;
            at <= '0;
        end else
            case (state)
                HEADER: if (m_axis_tready) state <= FETCH;
                FETCH: state <= WORD;
                WORD:
                    if (m_axis_tready) begin
                        at <= at + 1'b1;
                        state <= (at == AW'(WORDS - 1)) ? FRAMES : FETCH;
                    end
                default: ;
            endcase
    end

    assign m_axis_tdata = (state == HEADER) ? header : (state == FRAMES) ? s_axis_tdata : word;
    assign m_axis_tvalid = (state == FRAMES) ? s_axis_tvalid : state != FETCH;
    assign s_axis_tready = state == FRAMES && m_axis_tready;
endmodule

`default_nettype wire
