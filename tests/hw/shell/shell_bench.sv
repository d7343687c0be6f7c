// The shell with the loop-back in the engine's place. The memory model of the tests wants identifiers; they are zero.
`default_nettype none

module shell_bench #(
  parameter int unsigned MODES       = 5,
  parameter int unsigned CLASSES     = 10,
  parameter int unsigned IMAGE_BEATS = 384,
  parameter int unsigned READ_DEPTH  = 64,
  parameter int unsigned WAIT        = 50,
  parameter int unsigned EXITS       = 2
) (
  input  wire         clk,
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
  output logic [0:0]  m_axi_awid,
  input  wire  [0:0]  m_axi_bid,
  output logic [0:0]  m_axi_arid,
  input  wire  [0:0]  m_axi_rid,
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
  output logic        irq
);

  logic        engine_rst_n;
  logic [63:0] frame_tdata, record_tdata;
  logic        frame_tvalid, frame_tready, record_tvalid, record_tready;
  logic        network_done;
  logic [7:0]  network_error;
  wire  [7:0]  network_modes = 8'(MODES);
  logic [31:0] network_sum;

  assign m_axi_awid = '0;
  assign m_axi_arid = '0;

  engine_pkg::gate_host_t gate_host;
  engine_pkg::exit_host_t exit_host;
  axi_shell #(
    .ENGINE_HASH (32'h1234abcd),
    .CLASSES    (CLASSES),
    .EXITS      (EXITS),
    .IMAGE_BEATS(IMAGE_BEATS),
    .READ_DEPTH (READ_DEPTH)
  ) shell (
    .*,
    .m_axis_tdata (frame_tdata),
    .m_axis_tvalid(frame_tvalid),
    .m_axis_tready(frame_tready),
    .s_axis_tdata (record_tdata),
    .s_axis_tvalid(record_tvalid),
    .s_axis_tready(record_tready)
  );

  loopback #(
    .IMAGE_BEATS (IMAGE_BEATS),
    .RECORD_BEATS((8 + CLASSES + 31) / 32 * 16),
    .WAIT        (WAIT)
  ) engine (
    .clk,
    .rst_n        (engine_rst_n),
    .network_done (network_done),
    .network_error(network_error),
    .network_sum  (network_sum),
    .s_axis_tdata (frame_tdata),
    .s_axis_tvalid(frame_tvalid),
    .s_axis_tready(frame_tready),
    .m_axis_tdata (record_tdata),
    .m_axis_tvalid(record_tvalid),
    .m_axis_tready(record_tready)
  );

endmodule

`default_nettype wire
