// Everything of the accelerator but the engine: AXI4-Lite registers, AXI4 DMA, batch control.
//
// The host side is one AXI4-Lite slave (32-bit data, 12-bit address; registers of hw/interface.json), one AXI4
// master (64-bit data, 32-bit address) and an interrupt. The master asks for INCR bursts of 16 beats, and of one
// beat for the mode list, so that it may be joined to an AXI3 port without a converter of lengths; it uses no
// identifiers and expects answers in order. The engine side is a stream of frames, a stream of records and a
// reset.
`default_nettype none

module axi_shell
  import engine_pkg::*;
  import gatefold_pkg::*;
#(
  /// First 32 bits of the engine's SHA-256.
  parameter logic [31:0] ENGINE_HASH  = 32'h0,
  /// Classes, 1 to 255.
  parameter int unsigned CLASSES     = 10,
  parameter int unsigned DECISIONS   = 0,    /// of gates, in a record
  parameter int unsigned EXITS       = 0,    /// early exits; 0: no registers for them
  /// Image beats of a frame; a multiple of 16.
  parameter int unsigned IMAGE_BEATS = 384,
  /// Beats in the image buffer; a power of two, at least 32.
  parameter int unsigned READ_DEPTH  = 64
) (
  /// Clock.
  input  wire         clk,
  /// Synchronous reset, active low.
  input  wire         rst_n,

  /// AXI4-Lite slave.
  input  wire  [11:0] s_axi_control_awaddr,
  input  wire         s_axi_control_awvalid,
  output logic        s_axi_control_awready,
  input  wire  [31:0] s_axi_control_wdata,
  input  wire  [3:0]  s_axi_control_wstrb,
  input  wire         s_axi_control_wvalid,
  output logic        s_axi_control_wready,
  output logic [1:0]  s_axi_control_bresp,
  output logic        s_axi_control_bvalid,
  input  wire         s_axi_control_bready,
  input  wire  [11:0] s_axi_control_araddr,
  input  wire         s_axi_control_arvalid,
  output logic        s_axi_control_arready,
  output logic [31:0] s_axi_control_rdata,
  output logic [1:0]  s_axi_control_rresp,
  output logic        s_axi_control_rvalid,
  input  wire         s_axi_control_rready,

  /// AXI4 master.
  output logic [31:0] m_axi_awaddr,
  output logic [7:0]  m_axi_awlen,
  output logic [2:0]  m_axi_awsize,
  output logic [1:0]  m_axi_awburst,
  output logic [3:0]  m_axi_awcache,
  output logic [2:0]  m_axi_awprot,
  output logic        m_axi_awvalid,
  input  wire         m_axi_awready,
  output logic [63:0] m_axi_wdata,
  output logic [7:0]  m_axi_wstrb,
  output logic        m_axi_wlast,
  output logic        m_axi_wvalid,
  input  wire         m_axi_wready,
  input  wire  [1:0]  m_axi_bresp,
  input  wire         m_axi_bvalid,
  output logic        m_axi_bready,
  output logic [31:0] m_axi_araddr,
  output logic [7:0]  m_axi_arlen,
  output logic [2:0]  m_axi_arsize,
  output logic [1:0]  m_axi_arburst,
  output logic [3:0]  m_axi_arcache,
  output logic [2:0]  m_axi_arprot,
  output logic        m_axi_arvalid,
  input  wire         m_axi_arready,
  input  wire  [63:0] m_axi_rdata,
  input  wire  [1:0]  m_axi_rresp,
  input  wire         m_axi_rlast,
  input  wire         m_axi_rvalid,
  output logic        m_axi_rready,

  /// Interrupt, level.
  output logic        irq,

  /// Reset of the engine, active low.
  output logic        engine_rst_n,
  /// A network image is written into the engine; it cannot be, for this reason (until its reset).
  /// And its modes, 1 to 255.
  input  wire         network_done,
  input  wire  [7:0]  network_error,
  input  wire  [7:0]  network_modes,
  /// What the host tells the gates.
  output gate_host_t  gate_host,
  /// What the host tells the exits.
  output exit_host_t  exit_host,
  /// Frames to the engine.
  output logic [63:0] m_axis_tdata,
  output logic        m_axis_tvalid,
  input  wire         m_axis_tready,
  /// Records from the engine.
  input  wire  [63:0] s_axis_tdata,
  input  wire         s_axis_tvalid,
  output logic        s_axis_tready
);

  localparam int unsigned RECORD_USED  = RECORD_LOGITS + (CLASSES + 1) / 2 * 2 + (DECISIONS + 63) / 64 * 2;
  localparam int unsigned RECORD_WORDS = (RECORD_USED + RECORD_ALIGN_WORDS - 1) / RECORD_ALIGN_WORDS
                                         * RECORD_ALIGN_WORDS;

  // Bufferable and modifiable, normal and secure; the HP ports of the Zynq ignore both.
  assign m_axi_awlen   = 8'd15;
  assign m_axi_awsize  = 3'd3;
  assign m_axi_awburst = 2'b01;
  assign m_axi_awcache = 4'b0011;
  assign m_axi_awprot  = 3'b000;
  assign m_axi_wstrb   = 8'hff;
  assign m_axi_arsize  = 3'd3;
  assign m_axi_arburst = 2'b01;
  assign m_axi_arcache = 4'b0011;
  assign m_axi_arprot  = 3'b000;

  logic        write;
  logic [11:0] write_address;
  logic [31:0] write_data;
  logic [3:0]  write_strobe;
  logic [11:0] read_address;
  logic [31:0] read_data;

  axi_lite_slave #(.ADDRESS(12)) slave (
    .clk, .rst_n,
    .s_axi_awaddr (s_axi_control_awaddr),
    .s_axi_awvalid(s_axi_control_awvalid),
    .s_axi_awready(s_axi_control_awready),
    .s_axi_wdata  (s_axi_control_wdata),
    .s_axi_wstrb  (s_axi_control_wstrb),
    .s_axi_wvalid (s_axi_control_wvalid),
    .s_axi_wready (s_axi_control_wready),
    .s_axi_bresp  (s_axi_control_bresp),
    .s_axi_bvalid (s_axi_control_bvalid),
    .s_axi_bready (s_axi_control_bready),
    .s_axi_araddr (s_axi_control_araddr),
    .s_axi_arvalid(s_axi_control_arvalid),
    .s_axi_arready(s_axi_control_arready),
    .s_axi_rdata  (s_axi_control_rdata),
    .s_axi_rresp  (s_axi_control_rresp),
    .s_axi_rvalid (s_axi_control_rvalid),
    .s_axi_rready (s_axi_control_rready),
    .write, .write_address, .write_data, .write_strobe, .read_address, .read_data
  );

  logic        start;
  logic        load;
  logic        loaded;
  logic        soft_reset;
  logic [31:0] source;
  logic [31:0] destination;
  logic [31:0] frames;
  logic [7:0]  mode;
  logic [31:0] mode_list;
  logic [31:0] gate_threshold;
  logic [31:0] layer_threshold;
  logic        forced;
  logic        forced_write;
  logic [7:0]  forced_at;
  logic [31:0] forced_bits;
  logic        busy;
  logic        finish;
  logic [7:0]  finish_error;
  logic [31:0] frames_done;
  logic [31:0] cycles;
  logic [31:0] tiles;

  registers #(
    .ENGINE_HASH  (ENGINE_HASH),
    .CLASSES     (CLASSES),
    .RECORD_WORDS(RECORD_WORDS),
    .EXITS       (EXITS)
  ) host (
    .clk, .rst_n,
    .write, .write_address, .write_data, .write_strobe, .read_address, .read_data,
    .irq,
    .start, .load, .soft_reset, .source, .destination, .frames, .mode, .mode_list,
    .gate_threshold, .layer_threshold, .forced, .forced_write, .forced_at, .forced_bits, .exit_host,
    .busy, .loaded, .modes(network_modes), .finish, .finish_error, .frames_done, .cycles, .tiles
  );

  assign gate_host = '{
    channel_threshold: gate_threshold, layer_threshold: layer_threshold, forced: forced,
    forced_write: forced_write, forced_word: forced_at, forced_bits: forced_bits
  };

  logic        dma_start;
  logic        abort;
  logic        read_idle;
  logic        read_bad_mode;
  logic        read_bus_error;
  logic [31:0] frames_read;
  logic        write_idle;
  logic        write_bus_error;

  dma_batch batch (
    .clk, .rst_n,
    .start, .load, .soft_reset, .frames, .network_done, .network_error, .loaded, .busy, .finish, .finish_error, .cycles,
    .dma_start, .abort, .engine_rst_n,
    .read_idle, .read_bad_mode, .read_bus_error, .frames_read,
    .write_idle, .write_bus_error, .frames_done
  );

  dma_read #(
    .IMAGE_BEATS(IMAGE_BEATS),
    .DEPTH      (READ_DEPTH)
  ) reader (
    .clk, .rst_n,
    .start    (dma_start),
    .load, .source, .frames, .mode, .mode_list, .mode_count(network_modes), .abort,
    .idle     (read_idle),
    .frames_read,
    .bad_mode (read_bad_mode),
    .bus_error(read_bus_error),
    .m_axi_araddr, .m_axi_arlen, .m_axi_arvalid, .m_axi_arready,
    .m_axi_rdata, .m_axi_rresp, .m_axi_rlast, .m_axi_rvalid, .m_axi_rready,
    .m_axis_tdata, .m_axis_tvalid, .m_axis_tready
  );

  dma_write #(.RECORD_BEATS(RECORD_WORDS / 2)) writer (
    .clk, .rst_n,
    .start    (dma_start),
    .destination, .abort,
    .idle     (write_idle),
    .frames_done, .tiles,
    .bus_error(write_bus_error),
    .m_axi_awaddr, .m_axi_awvalid, .m_axi_awready,
    .m_axi_wdata, .m_axi_wlast, .m_axi_wvalid, .m_axi_wready,
    .m_axi_bresp, .m_axi_bvalid, .m_axi_bready,
    .s_axis_tdata, .s_axis_tvalid, .s_axis_tready
  );

endmodule

`default_nettype wire
