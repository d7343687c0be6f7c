// The result record of a frame: eight header words, the logits, from an even word on the gates' decisions, zeros up to RECORD_WORDS; two
// words a beat.
//
// Logits are gathered while the vector unit runs; `finish` hands in the rest and starts the transfer. `ready` is low
// until the last beat has left, and the sequencer keeps the next frame's last layer waiting that long.
`default_nettype none

module engine_record #(
    parameter int unsigned CLASSES = 10,
    parameter int unsigned DECISIONS = 0,
    localparam int unsigned LOGITS = (CLASSES + 1) / 2, DECIDED = (DECISIONS + 63) / 64,  // beats
    localparam int unsigned RECORD_WORDS = (8 + 2 * (LOGITS + DECIDED) + 31) / 32 * 32,
    localparam int unsigned DW = (DECIDED < 2) ? 1 : $clog2(DECIDED)
) (
    input  wire                clk,
    input  wire                rst_n,
    input  wire                network_done,  /// another network, maybe with fewer classes
    input  wire                logit_valid,
    input  wire  [8:0]         logit_index,
    input  wire  signed [31:0] logit,
    input  wire                finish,
    input  wire  [7:0]         mode,
    input  wire  [7:0]         exit,
    input  wire  [8:0]         best,
    input  wire  [31:0]        cycles,
    input  wire  [31:0]        tiles,
    output wire  [DW-1:0]      decisions_addr,
    input  wire  [63:0]        decisions,   /// of that word, in the same cycle
    output wire                ready,
    output logic [63:0]        m_axis_tdata,
    output wire                m_axis_tvalid,
    input  wire                m_axis_tready
);
    localparam int unsigned BEATS = RECORD_WORDS / 2, FIRST = 4 + LOGITS;
    localparam int unsigned BW = $clog2(BEATS);

    logic [31:0] frame, cycles_sent, tiles_sent;
    logic [7:0]  exit_sent;
    logic [8:0]  class_sent;
    logic        sending;
    logic [BW-1:0] beat;  // behind the one that is sent; 0 behind the last one
    logic [63:0] word;    // of that beat
    logic [LOGITS-1:0][1:0][31:0] logits;

    // Beyond the decisions' words it does not matter.
    // verilator lint_off UNUSEDSIGNAL
    wire [BW-1:0] decided_beat = beat - BW'(FIRST);
    // verilator lint_on UNUSEDSIGNAL
    assign decisions_addr = decided_beat[DW-1:0];
    assign ready = !sending && !finish;
    assign m_axis_tvalid = sending;
    always_comb
        case (beat)
            BW'(0): word = {24'd0, mode, frame};
            BW'(1): word = {23'd0, class_sent, 24'd0, exit_sent};
            BW'(2): word = {tiles_sent, cycles_sent};
            BW'(3): word = '0;
            default:
                word = (32'(beat) < FIRST) ? logits[beat-BW'(4)] : (32'(beat) < FIRST + DECIDED) ? decisions : '0;
        endcase

    always_ff @(posedge clk) begin
        if (!rst_n || network_done) logits <= '0;
        else if (logit_valid) logits[logit_index[8:1]][logit_index[0]] <= logit;
        if (!rst_n) begin
            frame <= '0;
            sending <= 1'b0;
            beat <= '0;
        end else if (finish) begin
            sending <= 1'b1;
            frame <= frame + 32'd1;
            beat <= BW'(1);
            exit_sent <= exit;
            class_sent <= best;
            cycles_sent <= cycles;
            tiles_sent <= tiles;
        end else if (sending && m_axis_tready) begin
            sending <= beat != '0;
            if (beat != '0) beat <= (beat == BW'(BEATS - 1)) ? '0 : beat + 1'b1;
        end
        if (finish || m_axis_tready) m_axis_tdata <= word;
    end
endmodule

`default_nettype wire
