// Reads the images of a batch, and its mode list, from memory and hands frames to the engine.
//
// A frame leaves as one header beat (mode in bits 7:0, the rest zero) and IMAGE_BEATS image beats. The modes
// come from the batch's mode or, when `mode_list` is not zero, from one byte per frame in memory, read eight at
// a time (single beats). Images lie one after the other from `source` on and are read in bursts of 16 beats of
// 8 bytes; addresses are 128-byte aligned, so no burst crosses 4 KiB. Data must return in the order of the
// addresses.
//
// A burst is asked for only when the buffer has room for all its beats, so read data are never held up for
// longer than the one cycle in which a header takes its place, and several bursts are under way at once.
//
// A network image (`load`) is read in the same bursts, `frames` of them, and leaves behind one header beat with bit HEADER_NETWORK set
// and the number of bursts in bits 63:32.
//
// A mode of `mode_count` or more ends the reading before that frame (`bad_mode`), a read error ends it at once
// (`bus_error`), and so does `abort`. What is under way then is still received, and dropped. `idle` tells that
// nothing is under way and nothing more will be asked for. `abort` must last until `idle`; it empties the buffer.
`default_nettype none

module dma_read
  import gatefold_pkg::*;
#(
  /// Image beats of a frame; a multiple of 16.
  parameter int unsigned IMAGE_BEATS = 384,
  /// Beats in the buffer, which also bounds the bursts under way; a power of two, at least 32.
  parameter int unsigned DEPTH       = 64
) (
  /// Clock.
  input  wire         clk,
  /// Synchronous reset, active low.
  input  wire         rst_n,

  /// Start a batch with the settings below; only while idle.
  input  wire         start,
  /// They are those of a network image; stands still until its end.
  input  wire         load,
  input  wire  [31:0] source,
  input  wire  [31:0] frames,
  input  wire  [7:0]  mode,
  input  wire  [31:0] mode_list,
  /// Modes of the network; stands still while frames run.
  input  wire  [7:0]  mode_count,
  /// Stop, level.
  input  wire         abort,
  /// Nothing is under way.
  output logic        idle,
  /// Frames handed to the engine, or being handed, in this batch.
  output logic [31:0] frames_read,
  /// The mode list names a mode that the program lacks.
  output logic        bad_mode,
  /// A read was answered with an error.
  output logic        bus_error,

  /// Read address channel.
  output logic [31:0] m_axi_araddr,
  output logic [7:0]  m_axi_arlen,
  output logic        m_axi_arvalid,
  input  wire         m_axi_arready,
  /// Read data channel.
  input  wire  [63:0] m_axi_rdata,
  input  wire  [1:0]  m_axi_rresp,
  input  wire         m_axi_rlast,
  input  wire         m_axi_rvalid,
  output logic        m_axi_rready,

  /// Frames to the engine.
  output logic [63:0] m_axis_tdata,
  output logic        m_axis_tvalid,
  input  wire         m_axis_tready
);

  localparam int unsigned BURST  = 16;
  localparam int unsigned BURSTS = IMAGE_BEATS / BURST;

  if (IMAGE_BEATS < BURST || IMAGE_BEATS % BURST != 0) begin : g_image
    $error("dma_read: IMAGE_BEATS must be a multiple of 16");
  end
  if (DEPTH < 2 * BURST || (DEPTH & (DEPTH - 1)) != 0) begin : g_depth
    $error("dma_read: DEPTH must be a power of two and at least 32");
  end

  logic stop;
  assign stop = abort || bad_mode || bus_error;

  // Addresses: per frame a beat of the mode list where one is due, then the bursts of the image.
  logic asking;
  logic asked;        // for one of both
  logic list_burst;
  logic image_burst;
  logic first_burst;
  if (1) begin : blkAddress
    localparam int unsigned INDEX = (BURSTS > 1) ? $clog2(BURSTS) : 1;

    logic [31:0]          image_address;
    logic [31:0]          list_address;
    logic [31:0]          left;
    logic [2:0]           slot;
    logic                 listed;
    logic                 list_due;
    logic [INDEX-1:0]     burst;
    logic                 last_burst;
    logic [$clog2(DEPTH):0] room;
    logic                 roomy;        // for the next burst; low for two cycles after each
    logic [$clog2(DEPTH):0] taken;  // by a burst, in the cycle before
    logic                 final_frame;  // `left` is one
    logic                 frame_asked;  // all of a frame, in the cycle before
    logic                 free;
    logic                 popped;       // in the cycle before

    assign last_burst  = load || burst == INDEX'(BURSTS - 1);
    assign free        = !m_axi_arvalid || m_axi_arready;
    // In the cycle in which a reason to stop comes up, one more burst may be asked for; then `asking` is low.
    assign asked       = asking && free && (list_due || roomy);
    assign list_burst  = asked && list_due;
    assign image_burst = asked && !list_due;
    // A frame's first burst also takes the place of its header.
    always_ff @(posedge clk)
      roomy <= rst_n && !start && !image_burst && taken == '0
               && room >= (first_burst ? ($clog2(DEPTH) + 1)'(BURST + 1) : ($clog2(DEPTH) + 1)'(BURST));
    // No burst follows another in the next two cycles, so there is time to count.
    always_ff @(posedge clk) begin
      frame_asked <= image_burst && last_burst;
      taken       <= image_burst ? (first_burst ? ($clog2(DEPTH) + 1)'(BURST + 1) : ($clog2(DEPTH) + 1)'(BURST)) : '0;
    end
    always_ff @(posedge clk) popped <= rst_n && m_axis_tvalid && m_axis_tready;

    always_ff @(posedge clk) begin
      if (!rst_n) begin
        asking        <= 1'b0;
        m_axi_arvalid <= 1'b0;
      end else begin
        if (start)     asking <= 1'b1;
        else if (stop) asking <= 1'b0;
        else if (frame_asked && final_frame) asking <= 1'b0;

        if (asked)              m_axi_arvalid <= 1'b1;
        else if (m_axi_arready) m_axi_arvalid <= 1'b0;
      end
    end

    always_ff @(posedge clk) begin
      if (asked) begin
        m_axi_araddr <= image_address;
        m_axi_arlen  <= 8'(BURST - 1);
        if (list_due) begin
          m_axi_araddr <= list_address;
          m_axi_arlen  <= 8'd0;
        end
      end
    end

    always_ff @(posedge clk) begin
      if (start) begin
        image_address <= source;
        list_address  <= mode_list;
        listed        <= mode_list != '0 && !load;
        list_due      <= mode_list != '0 && !load;
        left          <= frames;
        final_frame   <= frames == 32'd1;
        slot          <= '0;
        burst         <= '0;
        first_burst   <= 1'b1;
      end else begin
        if (asked)      list_due     <= !list_due && last_burst && listed && slot == 3'd7 && !final_frame;
        if (list_burst) list_address <= list_address + 32'd8;
        if (image_burst) begin
          image_address <= image_address + 32'(BURST * 8);
          burst         <= last_burst ? '0 : burst + 1'b1;
          first_burst   <= last_burst && !load;
        end
        if (frame_asked) begin
          left        <= left - 1'b1;
          final_frame <= left == 32'd2;
          slot        <= slot + 1'b1;
        end
      end
    end

    // Places that neither hold a beat nor await one; a header may fill its place before it is counted.
    always_ff @(posedge clk) begin
      if (!rst_n || start) begin
        room <= ($clog2(DEPTH) + 1)'(DEPTH);
      end else begin
        room <= room + ($clog2(DEPTH) + 1)'(popped) - taken;
      end
    end
  end

  // Bursts whose last beat has not come yet: no more than the buffer holds, and one of the mode list.
  localparam int unsigned WAITING = $clog2(DEPTH / BURST + 2) + 1;
  logic [WAITING-1:0] waiting;
  if (1) begin : blkWaiting
    logic answered;
    assign answered = m_axi_rvalid && m_axi_rready && m_axi_rlast;

    always_ff @(posedge clk) begin
      if (!rst_n)                    waiting <= '0;
      else if (asked && !answered)   waiting <= waiting + 1'b1;
      else if (answered && !asked)   waiting <= waiting - 1'b1;
    end
  end
  assign idle = !asking && waiting == '0;

  // Data, in the order of the addresses.
  logic        push;
  logic        push_ready;
  logic [63:0] push_data;
  if (1) begin : blkData
    // A bit each, so that a beat's way into the buffer and the enables below are a LUT or two.
    typedef struct packed {
      logic list;
      logic header;
      logic image;
    } state_t;
    localparam state_t LIST   = 3'b100;
    localparam state_t HEADER = 3'b010;
    localparam state_t IMAGE  = 3'b001;
    localparam state_t DROP   = 3'b000;
    localparam int unsigned BEAT = $clog2(IMAGE_BEATS);

    state_t          state;
    state_t          after;      // the image, or a burst of a network image; two cycles after what it follows from
    logic [63:0]     modes;      // the next one in bits 7:0
    logic            listed;
    logic [2:0]      slot;
    logic [31:0]     left;
    logic            more;       // `left` is not zero
    logic            good;       // a frame follows, in a mode that there is, or a network image
    logic [BEAT-1:0] beat;
    logic            last_beat;
    logic            failed;
    logic            headed;     // the header enters the buffer
    logic            counted;    // a header, or a burst of a network image, in the cycle before
    logic            image_beat;

    assign image_beat = state.image && m_axi_rvalid;
    assign failed     = m_axi_rvalid && m_axi_rresp[1] && (state.list || state.image);
    assign headed     = state.header && good && push_ready;

    // Between batches, nothing is asked for and nothing comes; the header state must not fill the buffer then.
    assign m_axi_rready = !state.header;
    // Whatever stops the reading leads to DROP, and an abort empties the buffer.
    assign push         = (state.header && good) || (image_beat && !m_axi_rresp[1]);
    always_comb begin
      push_data = m_axi_rdata;
      if (state.header) begin
        push_data = {load ? left : '0, 24'b0, load ? 8'd0 : modes[7:0]};
        push_data[HEADER_NETWORK] = load;
      end
    end

    always_ff @(posedge clk) begin
      if (!rst_n) begin
        state       <= DROP;
        bad_mode    <= 1'b0;
        bus_error   <= 1'b0;
        frames_read <= '0;
      end else if (start) begin
        state       <= (mode_list != '0 && !load) ? LIST : HEADER;
        bad_mode    <= 1'b0;
        bus_error   <= 1'b0;
        frames_read <= '0;
      end else if (abort) begin
        state       <= DROP;
      end else begin
        if (failed) bus_error <= 1'b1;
        if (state.list && m_axi_rvalid) state <= failed ? DROP : HEADER;
        if (state.header) begin
          if (!good) begin
            bad_mode <= more;
            state    <= DROP;
          end else if (push_ready) begin
            frames_read <= frames_read + 1'b1;
            state       <= IMAGE;
          end
        end
        if (state.image) begin
          if (failed) state <= DROP;
          else if (m_axi_rvalid && last_beat) state <= after;
        end
      end
    end

    always_ff @(posedge clk) begin
      if (load) after <= more ? IMAGE : DROP;
      else      after <= (listed && slot == '0 && more) ? LIST : HEADER;
    end

    always_ff @(posedge clk) begin
      if (start) begin
        beat      <= '0;
        last_beat <= 1'b0;
      end else if (image_beat) begin
        beat      <= last_beat ? '0 : beat + 1'b1;
        last_beat <= beat == (load ? BEAT'(BURST - 2) : BEAT'(IMAGE_BEATS - 2));
      end
    end

    // The counts are next looked at some beats later.
    always_ff @(posedge clk) counted <= headed || (image_beat && load && last_beat);
    always_ff @(posedge clk) begin
      if (start) begin
        listed <= mode_list != '0 && !load;
        modes  <= {8{mode}};
        good   <= frames != '0 && (load || mode < mode_count);
        slot   <= '0;
        left   <= frames;
        more   <= frames != '0;
      end else begin
        if (state.list && m_axi_rvalid) begin
          modes <= m_axi_rdata;
          good  <= m_axi_rdata[7:0] < mode_count;
        end
        if (counted) begin
          modes <= {modes[7:0], modes[63:8]};
          good  <= left != 32'd1 && modes[15:8] < mode_count;
          slot  <= slot + 1'b1;
          left  <= left - 1'b1;
          more  <= left != 32'd1;
        end
      end
    end
  end

  logic [$clog2(DEPTH):0] buffered;
  stream_fifo #(.WIDTH(64), .DEPTH(DEPTH)) buffer (
    .clk, .rst_n,
    .clear    (abort),
    .in_data  (push_data),
    .in_valid (push),
    .in_ready (push_ready),
    .out_data (m_axis_tdata),
    .out_valid(m_axis_tvalid),
    .out_ready(m_axis_tready),
    .count    (buffered)
  );

  logic unused;
  assign unused = &{1'b0, buffered, m_axi_rresp[0]};

endmodule

`default_nettype wire
