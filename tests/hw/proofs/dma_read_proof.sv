// dma_read never asks for more than its buffer can take: an image beat that comes always finds a place, whatever the engine takes
// and however long the memory waits. The memory answers what it was asked for, in order; nothing else is assumed of it.
//
// What is under way is a queue of bursts. Reader's two sides, the one that asks and the one that takes data, stand at two places of
// the same sequence (list beat, header, bursts of the image, next frame; of a network image header and bursts); the queue is what lies
// between them.
`default_nettype none

module dma_read_proof #(
    parameter int unsigned IMAGE_BEATS = 32,
    parameter int unsigned DEPTH       = 32
) (
    input wire         clk,
    input wire         rst_n,
    input wire         start,
    input wire         load,
    input wire  [31:0] source,
    input wire  [31:0] frames,
    input wire  [7:0]  mode,
    input wire  [31:0] mode_list,
    input wire         abort,
    input wire         m_axi_arready,
    input wire  [63:0] m_axi_rdata,
    input wire  [1:0]  m_axi_rresp,
    input wire         m_axi_rlast,
    input wire         m_axi_rvalid,
    input wire         m_axis_tready
);
    localparam int unsigned BURSTS = IMAGE_BEATS / 16, MOST = 3;
    logic idle, bad_mode, bus_error, m_axi_arvalid, m_axi_rready, m_axis_tvalid;
    logic [31:0] frames_read, m_axi_araddr;
    logic [7:0] m_axi_arlen;
    logic [63:0] m_axis_tdata;
    dma_read #(.IMAGE_BEATS(IMAGE_BEATS), .DEPTH(DEPTH)) dut (.mode_count(8'd5), .*);

    typedef enum logic [1:0] {LIST, HEADER, IMAGE, DROP} state_t;
    state_t state;
    function automatic state_t named(input logic [2:0] bits);
        return bits[2] ? LIST : bits[1] ? HEADER : bits[0] ? IMAGE : DROP;
    endfunction
    assign state = named(dut.blkData.state);

    // Bursts under way, oldest in bit 0 (1: of the mode list), and the beats that came of the oldest.
    logic [3:0] is_list;
    logic [2:0] count;
    logic [3:0] came;
    wire asked = dut.list_burst || dut.image_burst;
    wire received = m_axi_rvalid && m_axi_rready;
    wire answered = received && m_axi_rlast;
    wire [2:0] behind = count - 3'(answered);
    logic started = 1'b0, aborting, loads;
    always_ff @(posedge clk) begin
        aborting <= rst_n && abort && !idle;
        if (start) loads <= load;
        if (!rst_n) begin
            started <= 1'b1;
            count <= '0;
            came <= '0;
        end else begin
            count <= behind + 3'(asked);
            if (received) came <= m_axi_rlast ? '0 : came + 1'b1;
            is_list <= answered ? is_list >> 1 : is_list;
            if (asked) is_list[behind[1:0]] <= dut.list_burst;
        end
    end

    always_comb begin
        if (m_axi_rvalid) assume (count != '0 && m_axi_rlast == (is_list[0] || came == 4'd15));
        // The shell: a batch starts with at least one frame, while nothing is under way or left over; abort lasts.
        if (start) assume (started && rst_n && idle && !abort && dut.buffered == '0 && frames != '0);
        if (aborting) assume (abort);
        // What is read stands still while something is.
        if (!start && !(idle && state == DROP)) assume (load == loads);
    end

    // Header or burst of a network image that has come but does not count yet.
    wire counted = dut.blkData.counted;
    wire [2:0] slot = dut.blkData.slot + 3'(counted);
    wire [31:0] left = dut.blkData.left - 32'(counted);
    // The same of a frame that has been asked for.
    wire frame_asked = dut.blkAddress.frame_asked;
    wire [2:0] slot_asked = dut.blkAddress.slot + 3'(frame_asked);
    wire [31:0] left_asked = dut.blkAddress.left - 32'(frame_asked);

    // Image beats that are asked for and have not come; places of headers less headers that have come.
    logic [6:0] awaited;
    always_comb begin
        awaited = '0;
        for (int unsigned i = 0; i < MOST; i++) if (3'(i) < count && !is_list[i]) awaited += 7'd16;
        if (count != '0 && !is_list[0]) awaited -= 7'(came);
    end
    wire [6:0] headers = loads ? 7'(!dut.first_burst) - 7'(state == IMAGE)
                               : 7'(left) - 7'(left_asked) + 7'(dut.blkAddress.burst != '0);

    // A place in the sequence: frame in its group of eight, burst of the image, list beat due, frames left.
    typedef struct packed {
        logic [2:0]  slot;
        logic        burst;
        logic        list;
        logic [31:0] left;
    } place_t;
    function automatic place_t after(input place_t here, input logic listed);
        if (loads) return '{slot: here.slot, burst: 1'b0, list: 1'b0, left: here.left - 1'b1};
        if (here.list) return '{slot: here.slot, burst: 1'b0, list: 1'b0, left: here.left};
        if (32'(here.burst) != BURSTS - 1) return '{slot: here.slot, burst: 1'b1, list: 1'b0, left: here.left};
        return '{slot: here.slot + 1'b1, burst: 1'b0, list: listed && here.slot == 3'd7, left: here.left - 1'b1};
    endfunction
    place_t at[MOST + 1];
    place_t asks;
    always_comb begin
        at[0].slot = loads ? slot_asked : state == IMAGE ? slot - 1'b1 : slot;
        at[0].burst = !loads && state == IMAGE && (BURSTS > 1) && dut.blkData.beat[4];
        at[0].list = state == LIST;
        at[0].left = state == IMAGE ? left + 1'b1 : left;
        for (int unsigned i = 0; i < MOST; i++) at[i + 1] = after(at[i], dut.blkData.listed);
        asks = '{slot: slot_asked, burst: dut.blkAddress.burst, list: dut.blkAddress.list_due, left: left_asked};
    end

    always_comb if (started) begin
        assert (count <= 3'(MOST) && dut.waiting == count);
        assert ($onehot0(dut.blkData.state) && dut.m_axis_tvalid == (dut.buffered != '0));
        if (count != '0 && is_list[0]) assert (came == '0);
        if (count == '0) assert (came == '0);
        if (state == DROP) begin
            assert (!dut.asking || dut.stop);
        end else begin
            assert (dut.blkData.listed == dut.blkAddress.listed);
            if (loads) assert (!dut.blkData.listed && dut.blkAddress.burst == '0 && state != LIST && dut.blkData.beat < 16);
            else assert (dut.first_burst == (dut.blkAddress.burst == '0));
            if (loads && dut.first_burst) assert (count == '0);
            if (state == IMAGE) assert (dut.blkData.last_beat == (32'(dut.blkData.beat) == (loads ? 15 : IMAGE_BEATS - 1)));
            if (state == LIST || state == HEADER) assert (!dut.blkData.last_beat);
            if (counted) assert (state == IMAGE && dut.blkData.beat == '0);
            if (state == IMAGE && dut.blkData.beat > 1)
                assert (named(dut.blkData.after) == (loads ? (dut.blkData.more ? IMAGE : DROP)
                        : (dut.blkData.listed && dut.blkData.slot == '0 && dut.blkData.more) ? LIST : HEADER));
            if (state == HEADER || (state == IMAGE && !loads))
                assert (dut.blkData.good == (dut.blkData.more && (loads || dut.blkData.modes[7:0] < 8'd5)));
            if (state == LIST || state == HEADER) assert (dut.blkData.beat == '0);
            for (int unsigned i = 0; i < MOST; i++) if (3'(i) < count) assert (is_list[i] == at[i].list && at[i].left != '0);
            for (int unsigned i = 0; i <= MOST; i++)
                if (3'(i) == count) assert (asks.left == at[i].left && (asks.left == '0 || asks == at[i]));
            if (state == IMAGE && count != '0) assert (came == dut.blkData.beat[3:0]);
            if (state != HEADER) assert (at[0].left != '0);
            if (state == LIST) assert (at[0].slot == '0 && dut.blkData.listed);
            if (asks.list) assert (asks.slot == '0 && dut.blkData.listed && asks.burst == '0);
            if (state == HEADER) assert (came == '0);
            if (state == IMAGE && count == '0) assert (dut.blkData.beat[3:0] == '0);
            assert (dut.blkAddress.burst == '0 || asks.left != '0);
            assert (!bus_error && !bad_mode && dut.asking == (dut.blkAddress.left != '0));
            assert (7'(dut.blkAddress.room) - 7'(dut.blkAddress.taken) + 7'(dut.blkAddress.popped) + 7'(dut.buffered) + awaited + headers == 7'(DEPTH));
            assert (!dut.blkAddress.roomy || (!frame_asked && dut.blkAddress.taken == '0));
            assert (!dut.blkAddress.roomy || dut.blkAddress.room >= (dut.first_burst ? 6'd17 : 6'd16));
            assert (dut.blkAddress.final_frame == (dut.blkAddress.left == 32'd1));
            assert (dut.blkData.more == (dut.blkData.left != '0));
            // A header that has come and gone before its place was taken leaves one more than there are.
            assert (7'(dut.blkAddress.room) <= 7'(DEPTH) + 7'd1);
            // What it is all for.
            if (dut.push && state == IMAGE) assert (dut.push_ready);
        end
    end
endmodule

`default_nettype wire
