// From the input stream to the image buffers in feature memory M.
//
// A frame is one header beat (mode in bits 7:0) and PLANES * 32 rows of 32 bytes, plane after plane, four beats each.
// A row becomes two words, upper and lower nibbles, which are channels of their own: the first layer adds the lower
// ones to 16 times the upper ones. Two buffers alternate; a frame is offered to the sequencer when it is complete,
// and its buffer is free again when the first layer has read it.
`default_nettype none

module engine_loader #(
    parameter int unsigned PLANES     = 3,   /// colours
    parameter int unsigned IMAGE_BASE = 32   /// first word of buffer 0; each takes 4 * PLANES words
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
    // complete frames
    output logic         valid,
    output logic [7:0]   mode,
    output logic         buffer,
    input  wire          release_buffer
);
    localparam int unsigned WORDS = 4 * PLANES;

    // Two frames at most, oldest first.
    logic [1:0][7:0] modes;
    logic [1:0]      count;
    logic            fill, drain;  // buffer being filled, buffer to be read next

    typedef enum logic [1:0] {HEADER, ROWS, LAST_WRITE} state_e;
    state_e      state;
    logic [1:0]  beat;
    logic [4:0]  row;
    logic [$clog2(PLANES+1)-1:0] plane;
    logic [191:0] gathered;
    logic        high_pending, low_pending;
    logic [127:0] high, low;
    logic [3:0]  write_bank;
    logic [7:0]  high_addr;

    wire pending = high_pending || low_pending;
    wire row_complete = state == ROWS && s_axis_tvalid && s_axis_tready && beat == 2'd3;
    assign s_axis_tready = (state == HEADER) ? count < 2'd2 : (state == ROWS) && !(beat == 2'd3 && pending);

    wire [255:0] full_row = {s_axis_tdata, gathered};
    logic [127:0] row_high, row_low;
    always_comb
        for (int unsigned p = 0; p < 32; p++) begin
            row_high[4*p+:4] = full_row[8*p+4+:4];
            row_low[4*p+:4] = full_row[8*p+:4];
        end

    assign write = pending;
    assign bank = write_bank;
    assign addr = high_pending ? high_addr : high_addr + 8'(2 * PLANES);
    assign data = high_pending ? high : low;

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
        end else begin
            count <= count + 2'(complete) - 2'(release_buffer);
            if (release_buffer) drain <= !drain;
            if (complete) fill <= !fill;
            case (state)
                HEADER:
                    if (s_axis_tvalid && s_axis_tready) begin
                        modes[fill] <= s_axis_tdata[7:0];
                        state <= ROWS;
                    end
                ROWS: if (row_complete && row == 5'd31 && plane == ($bits(plane))'(PLANES - 1)) state <= LAST_WRITE;
                default: if (complete) state <= HEADER;
            endcase
            if (row_complete) begin
                high_pending <= 1'b1;
                low_pending <= 1'b1;
            end else if (write_ready) begin
                if (high_pending) high_pending <= 1'b0;
                else low_pending <= 1'b0;
            end
        end

        if (state == HEADER) begin
            beat <= '0;
            row <= '0;
            plane <= '0;
        end else if (s_axis_tvalid && s_axis_tready) begin
            beat <= beat + 2'd1;
            gathered <= {s_axis_tdata, gathered[191:64]};
            if (beat == 2'd3) begin
                row <= row + 5'd1;
                if (row == 5'd31) plane <= plane + 1'b1;
                high <= row_high;
                low <= row_low;
                write_bank <= row[3:0];
                high_addr <= 8'(IMAGE_BASE) + (fill ? 8'(WORDS) : 8'd0) + {{(7-$bits(plane)){1'b0}}, plane, row[4]};
            end
        end
    end
endmodule

`default_nettype wire
