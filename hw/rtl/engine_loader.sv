// From the input stream to the image buffers in feature memory M.
//
// A frame is one header beat (mode in bits 7:0, the rest zero) and PLANES * SIZE rows of SIZE bytes, plane after plane, filled up to a
// multiple of 16 beats. A row becomes two words, upper and lower nibbles, which are channels of their own: plane p is
// channel p and channel PLANES + p, placed as in any map. Two buffers alternate; a frame is offered to the sequencer when
// it is complete, and its buffer is free again when the first layer has read it.
//
// A header beat with bit HEADER_NETWORK set, and blocks of 16 beats in bits 63:32, comes before a network image, which `engine_network`
// takes once the frames before it are computed. The next header is taken when all of it is written.
`default_nettype none

module engine_loader
    import gatefold_pkg::*;
#(
    parameter int unsigned PLANES     = 3,
    parameter int unsigned SIZE       = 32,  /// 8, 16 or 32
    parameter int unsigned IMAGE_BASE = 32   /// first word of buffer 0
) (
    input  wire          clk,
    input  wire          rst_n,
    input  wire  [63:0]  s_axis_tdata,
    input  wire          s_axis_tvalid,
    output logic         s_axis_tready,
    // writes to M
    output logic         write,
    input  wire          write_ready,
    output logic [3:0]   bank,
    output logic [7:0]   addr,
    output logic [127:0] data,
    // a network image
    input  wire          rest,           /// no frame is computed
    output logic         network_start,  /// its beats follow
    output logic [31:0]  network_blocks,
    output wire          network_valid,
    input  wire          network_last,
    input  wire          network_done,
    // complete frames
    output logic         valid,
    output logic [7:0]   mode,
    output logic         buffer,
    input  wire          release_buffer
);
    localparam int unsigned WORDS = PLANES * SIZE / 8;  // of a buffer, in every bank
    localparam int unsigned BEATS = SIZE / 8;           // of a row
    localparam int unsigned FILLED = (PLANES * SIZE * BEATS + 15) / 16 * 16 / (SIZE * BEATS);  // planes with what fills up
    localparam int unsigned PW = $clog2(FILLED + 1);

    // Two frames at most, oldest first.
    logic [1:0][7:0] modes;
    logic [1:0]      count;
    logic            fill, drain;  // buffer being filled, buffer to be read next

    typedef enum logic [2:0] {HEADER, ROWS, LAST_WRITE, WAIT, NETWORK} state_e;
    state_e      state;
    logic [1:0]  beat;
    logic        last_beat;  // this one, of its row
    logic        wanted;     // the plane is one of the image's
    logic [4:0]  row;
    logic [PW-1:0] plane;
    logic [1:0][3:0] banks;      // of the row's low (0) and high nibbles
    logic [1:0][7:0] addresses;
    logic [191:0] gathered;
    logic        high_pending, low_pending;
    logic [4*SIZE-1:0] high, low;

    wire pending = high_pending || low_pending;
    wire take = s_axis_tvalid && s_axis_tready;
    wire row_complete = state == ROWS && take && last_beat;
    wire row_last = row == 5'(SIZE - 1);
    wire frame_last = row_last && plane == PW'(FILLED - 1);

    // Whether the next beat is taken stands in a register: the last one of a row waits for the words of the row before, by what was
    // pending a cycle ago.
    logic ready, network_over;
    assign network_valid = take && state == NETWORK;
    always_comb
        if (state == HEADER) ready = take ? !s_axis_tdata[HEADER_NETWORK] && (BEATS > 1 || !pending) : count < 2'd2;
        else if (state == WAIT) ready = 1'b0;
        else if (state == NETWORK) ready = !network_over && !(take && network_last);
        else if (row_complete) ready = !frame_last && (BEATS > 1 || !wanted);
        else if (take) ready = !pending || beat != 2'(BEATS - 2);
        else ready = state == ROWS && !(last_beat && pending);
    always_ff @(posedge clk) s_axis_tready <= rst_n && ready;

    // verilator lint_off UNUSEDSIGNAL
    wire [255:0] newest = {s_axis_tdata, gathered};
    // verilator lint_on UNUSEDSIGNAL
    wire [8*SIZE-1:0] full_row = newest[255-:8*SIZE];
    logic [4*SIZE-1:0] row_high, row_low;
    always_comb
        for (int unsigned p = 0; p < SIZE; p++) begin
            row_high[4*p+:4] = full_row[8*p+4+:4];
            row_low[4*p+:4] = full_row[8*p+:4];
        end

    assign write = pending;
    // Row and channel of the word.
    wire [1:0][3:0] channel = {4'(plane), 4'(plane) + 4'(PLANES)};
    assign bank = banks[high_pending];
    assign addr = addresses[high_pending];
    assign data = 128'(high_pending ? high : low);
    wire [7:0] base = 8'(IMAGE_BASE) + (fill ? 8'(WORDS) : 8'd0);

    assign valid = count != 2'd0;
    assign mode = modes[drain];
    assign buffer = drain;

    wire complete = state == LAST_WRITE && !pending;
    always_ff @(posedge clk) begin
        if (!rst_n) begin
            state <= HEADER;
            count <= '0;
            fill <= 1'b0;
            drain <= 1'b0;
            high_pending <= 1'b0;
            low_pending <= 1'b0;
            network_start <= 1'b0;
        end else begin
            network_start <= 1'b0;
            count <= count + 2'(complete) - 2'(release_buffer);
            if (release_buffer) drain <= !drain;
            if (complete) fill <= !fill;
            case (state)
                HEADER:
                    if (take) begin
                        modes[fill] <= s_axis_tdata[7:0];
                        state <= s_axis_tdata[HEADER_NETWORK] ? WAIT : ROWS;
                    end
                WAIT:
                    if (count == 2'd0 && rest) begin
                        network_start <= 1'b1;
                        state <= NETWORK;
                    end
                NETWORK: if (network_done) state <= HEADER;
                ROWS: if (row_complete && frame_last) state <= LAST_WRITE;
                LAST_WRITE: if (complete) state <= HEADER;
                default: state <= HEADER;
            endcase
            if (row_complete && wanted) begin
                high_pending <= 1'b1;
                low_pending <= 1'b1;
            end else if (write_ready) begin
                if (high_pending) high_pending <= 1'b0;
                else low_pending <= 1'b0;
            end
        end

        // A cycle after the plane, so that no handshake leads here: after a plane's last row its words are pending, or a row has
        // more beats than one, so that none ends in that cycle; the header's cycle sets it before the first row.
        if (state == HEADER) network_blocks <= s_axis_tdata[63:32];
        network_over <= state == NETWORK && (network_over || (network_last && take));
        wanted <= state == HEADER || plane < PW'(PLANES);
        if (state == HEADER) begin
            beat <= '0;
            last_beat <= BEATS == 1;
            row <= '0;
            plane <= '0;
        end else if (take) begin
            beat <= last_beat ? '0 : beat + 2'd1;
            last_beat <= BEATS == 1 || (!last_beat && beat == 2'(BEATS - 2));
            gathered <= {s_axis_tdata, gathered[191:64]};
            if (last_beat) begin
                row <= row_last ? '0 : row + 5'd1;
                if (row_last) plane <= plane + 1'b1;
                high <= row_high;
                low <= row_low;
                for (int unsigned h = 0; h < 2; h++) begin
                    banks[h] <= (SIZE == 8) ? {channel[h][0], row[2:0]} : row[3:0];
                    addresses[h] <= base + ((SIZE == 32) ? {3'd0, channel[h], row[4]} : 8'(channel[h] >> (SIZE == 8)));
                end
            end
        end
    end

    if (SIZE != 8 && SIZE != 16 && SIZE != 32) begin : bad_size
        $error("engine_loader: SIZE must be 8, 16 or 32");
    end
    if (PLANES > 6) begin : bad_planes
        $error("engine_loader: at most 6 planes");
    end
endmodule

`default_nettype wire
