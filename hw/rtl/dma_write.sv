// Writes the engine's result records to memory, one after the other from `destination` on.
//
// A record is RECORD_BEATS beats of 8 bytes, a multiple of 16. A burst of 16 beats starts once its 16 beats are
// in the buffer, so its data never pause; the next one starts after its response. The destination is 128-byte
// aligned, so no burst crosses 4 KiB. A record counts as done, with its tiles, when the response to its last
// burst has come.
//
// A response with an error (`bus_error`) and `abort` let no further burst start; the burst under way is ended as
// the bus demands. `idle` tells that none is under way. `abort` must last until `idle`; it empties the buffer
// once `idle` holds.
`default_nettype none

module dma_write
  import gatefold_pkg::*;
#(
  /// Beats of a record; a multiple of 16.
  parameter int unsigned RECORD_BEATS = 16
) (
  /// Clock.
  input  wire         clk,
  /// Synchronous reset, active low.
  input  wire         rst_n,

  /// Start a batch at `destination`; only while idle.
  input  wire         start,
  input  wire  [31:0] destination,
  /// Stop, level.
  input  wire         abort,
  /// No burst is under way.
  output logic        idle,
  /// Records written in this batch.
  output logic [31:0] frames_done,
  /// Sum of these records' tiles.
  output logic [31:0] tiles,
  /// A write was answered with an error.
  output logic        bus_error,

  /// Write address channel; the length is always 16 beats.
  output logic [31:0] m_axi_awaddr,
  output logic        m_axi_awvalid,
  input  wire         m_axi_awready,
  /// Write data channel.
  output logic [63:0] m_axi_wdata,
  output logic        m_axi_wlast,
  output logic        m_axi_wvalid,
  input  wire         m_axi_wready,
  /// Write response channel.
  input  wire  [1:0]  m_axi_bresp,
  input  wire         m_axi_bvalid,
  output logic        m_axi_bready,

  /// Records from the engine.
  input  wire  [63:0] s_axis_tdata,
  input  wire         s_axis_tvalid,
  output logic        s_axis_tready
);

  localparam int unsigned BURST  = 16;
  localparam int unsigned DEPTH  = 2 * BURST;
  localparam int unsigned BURSTS = RECORD_BEATS / BURST;
  localparam int unsigned INDEX  = (BURSTS > 1) ? $clog2(BURSTS) : 1;

  if (RECORD_BEATS < BURST || RECORD_BEATS % BURST != 0) begin : g_record
    $error("dma_write: RECORD_BEATS must be a multiple of 16");
  end

  logic [$clog2(DEPTH):0] buffered;
  logic                   buffer_valid;
  logic                   beat_written;
  stream_fifo #(.WIDTH(64), .DEPTH(DEPTH)) buffer (
    .clk, .rst_n,
    .clear    (abort && idle),
    .in_data  (s_axis_tdata),
    .in_valid (s_axis_tvalid),
    .in_ready (s_axis_tready),
    .out_data (m_axi_wdata),
    .out_valid(buffer_valid),
    .out_ready(beat_written),
    .count    (buffered)
  );

  logic             address_open;
  logic             data_open;
  logic             response_open;
  logic [3:0]       beat;
  logic [INDEX-1:0] burst;
  logic             last_burst;
  logic             begin_burst;
  logic             answered;

  assign idle          = !response_open;
  assign begin_burst   = idle && !abort && !bus_error && buffered >= ($clog2(DEPTH) + 1)'(BURST);
  assign m_axi_awvalid = address_open;
  assign m_axi_wvalid  = data_open;
  assign m_axi_wlast   = beat == 4'(BURST - 1);
  assign beat_written  = data_open && m_axi_wready;
  assign m_axi_bready  = response_open && !address_open && !data_open;
  assign answered      = m_axi_bvalid && m_axi_bready;
  assign last_burst    = burst == INDEX'(BURSTS - 1);

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      address_open  <= 1'b0;
      data_open     <= 1'b0;
      response_open <= 1'b0;
    end else if (begin_burst) begin
      address_open  <= 1'b1;
      data_open     <= 1'b1;
      response_open <= 1'b1;
    end else begin
      if (m_axi_awready)               address_open  <= 1'b0;
      if (beat_written && m_axi_wlast) data_open     <= 1'b0;
      if (answered)                    response_open <= 1'b0;
    end
  end

  always_ff @(posedge clk) begin
    if (start) begin
      m_axi_awaddr <= destination;
      beat         <= '0;
      burst        <= '0;
    end else begin
      if (beat_written) beat <= beat + 1'b1;
      if (answered) begin
        m_axi_awaddr <= m_axi_awaddr + 32'(BURST * 8);
        burst        <= last_burst ? '0 : burst + 1'b1;
      end
    end
  end

  if (1) begin : blkCount
    logic [31:0] record_tiles;

    // The tiles are one word of the record's first burst.
    always_ff @(posedge clk) begin
      if (beat_written && burst == '0 && beat == 4'(RECORD_TILES / 2)) begin
        record_tiles <= m_axi_wdata[32 * (RECORD_TILES % 2) +: 32];
      end
    end

    always_ff @(posedge clk) begin
      if (!rst_n || start) begin
        bus_error   <= 1'b0;
        frames_done <= '0;
        tiles       <= '0;
      end else if (answered) begin
        if (m_axi_bresp[1]) begin
          bus_error <= 1'b1;
        end else if (last_burst) begin
          frames_done <= frames_done + 1'b1;
          tiles       <= tiles + record_tiles;
        end
      end
    end
  end

  logic unused;
  assign unused = &{1'b0, buffer_valid, m_axi_bresp[0]};

endmodule

`default_nettype wire
