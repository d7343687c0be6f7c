// The accelerator: registers, DMA and tile engine behind one AXI4-Lite slave and one AXI4 master.
//
// This is the top of every road: simulator, synthesis estimate, Vivado and the open tools read the same file
// list. Nothing in it belongs to a vendor. The parameters are chosen per model and part by the compiler; a
// network comes through the DMA (engine_network.sv).
// The host's view is described in hw/interface.json; what the bus may expect is said in axi_shell.sv.
`default_nettype none

module gatefold_top #(
  /// Pixels of a tile: 32 or 64.
  parameter int unsigned P             = 64,
  /// Output channels of a tile: 1 or 2.
  parameter int unsigned PE            = 2,
  /// Requantisers, 8 to 64.
  parameter int unsigned R             = 64,
  /// Multipliers of the vector unit.
  parameter int unsigned V             = 16,
  /// Words of a bank of the feature memories.
  parameter int unsigned X_DEPTH       = 64,
  parameter int unsigned M_DEPTH       = 64,
  /// First word of the images in M.
  parameter int unsigned IMAGE_BASE    = 32,
  /// Planes of an image, and their height and width in pixels: 8, 16 or 32.
  parameter int unsigned PLANES        = 3,
  parameter int unsigned IMAGE_SIZE    = 32,
  /// Kernels of the first layer that count 16 times, and its other ones.
  parameter int unsigned HIGH_DIGITS   = 0,
  parameter int unsigned LOW_DIGITS    = 1,
  /// Bits of an accumulator, 18 to 21, and of a pooled sum: 10, 12, 14 for maps of 8, 16, 32 pixels.
  parameter int unsigned ACC_WIDTH     = 18,
  parameter int unsigned POOL_WIDTH    = 10,
  /// Layers have bounds and tables of their own (1).
  parameter int unsigned TABLES        = 0,
  /// 2x2 pools: bit 0 of codes (max), bit 1 of levels (sum; needs TABLES).
  parameter int unsigned POOL2         = 0,
  /// Maps are smaller than they are stored (1).
  parameter int unsigned MASK          = 0,
  /// Channels of the widest gate's mask at most, a power of two (0: no gates), and decisions of all gates.
  parameter int unsigned GATES         = 0,
  parameter int unsigned DECISIONS     = 0,
  /// Early exits (0: none).
  parameter int unsigned EXITS         = 0,
  /// Hidden units of the layer gates' LSTM (0: none).
  parameter int unsigned HIDDEN        = 0,
  /// Factors of squeeze-and-excitation at most, a power of two (0: none), and its hidden units.
  parameter int unsigned FACTORS       = 0,
  parameter int unsigned INNER         = 0,
  /// Entries of the table of products of either.
  parameter int unsigned PRODUCTS      = 2,
  /// Kernels that each quarter of the lanes has of its own, for gates on 4x4 pixels (0: none).
  parameter int unsigned PACK          = 0,
  /// Words of the weight, requantisation and vector weight memories.
  parameter int unsigned WEIGHT_DEPTH  = 4096,
  parameter int unsigned REQUANT_DEPTH = 512,
  parameter int unsigned FC_DEPTH      = 64,
  /// Biases of the vector unit, and its words of pooled sums, at least 2.
  parameter int unsigned BIASES        = 10,
  parameter int unsigned POOL_DEPTH    = 4,
  /// Modes in the program at most, 1 to 255.
  parameter int unsigned MODES         = 5,
  /// Descriptors per mode, a power of two.
  parameter int unsigned LAYERS        = 16,
  /// Classes, 1 to 255.
  parameter int unsigned CLASSES       = 10,
  /// Pixel pairs whose products are made in DSP blocks.
  parameter int unsigned MULT_DSP      = 0,
  /// Products of the requantisers in DSP blocks, else in LUTs.
  parameter bit          REQUANT_DSP   = 1,
  /// First 32 bits of the engine's SHA-256, which network images name.
  parameter logic [31:0] ENGINE_HASH    = 32'h0,
  /// Beats in the image buffer; a power of two, at least 32.
  parameter int unsigned READ_DEPTH    = 64
) (
  /// Clock.
  input  wire         ap_clk,
  /// Synchronous reset, active low.
  input  wire         ap_rst_n,

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
  output logic        irq
);

  logic        engine_rst_n;
  logic        network_done;
  logic [7:0]  network_error;
  logic [7:0]  network_modes;
  engine_pkg::gate_host_t gate_host;
  engine_pkg::exit_host_t exit_host;
  logic [63:0] frame_tdata;
  logic        frame_tvalid;
  logic        frame_tready;
  logic [63:0] record_tdata;
  logic        record_tvalid;
  logic        record_tready;

  axi_shell #(
    .ENGINE_HASH(ENGINE_HASH),
    .CLASSES   (CLASSES),
    .DECISIONS (DECISIONS),
    .EXITS     (EXITS),
    .IMAGE_BEATS((PLANES * IMAGE_SIZE * IMAGE_SIZE / 8 + 15) / 16 * 16),
    .READ_DEPTH(READ_DEPTH)
  ) shell (
    .clk          (ap_clk),
    .rst_n        (ap_rst_n),
    .s_axi_control_awaddr, .s_axi_control_awvalid, .s_axi_control_awready, .s_axi_control_wdata,
    .s_axi_control_wstrb, .s_axi_control_wvalid, .s_axi_control_wready, .s_axi_control_bresp,
    .s_axi_control_bvalid, .s_axi_control_bready, .s_axi_control_araddr, .s_axi_control_arvalid,
    .s_axi_control_arready, .s_axi_control_rdata, .s_axi_control_rresp, .s_axi_control_rvalid,
    .s_axi_control_rready, .m_axi_awaddr, .m_axi_awlen, .m_axi_awsize, .m_axi_awburst, .m_axi_awcache,
    .m_axi_awprot, .m_axi_awvalid, .m_axi_awready, .m_axi_wdata, .m_axi_wstrb, .m_axi_wlast, .m_axi_wvalid,
    .m_axi_wready, .m_axi_bresp, .m_axi_bvalid, .m_axi_bready, .m_axi_araddr, .m_axi_arlen, .m_axi_arsize,
    .m_axi_arburst, .m_axi_arcache, .m_axi_arprot, .m_axi_arvalid, .m_axi_arready, .m_axi_rdata,
    .m_axi_rresp, .m_axi_rlast, .m_axi_rvalid, .m_axi_rready, .irq,
    .engine_rst_n,
    .network_done,
    .network_error,
    .network_modes,
    .gate_host,
    .exit_host,
    .m_axis_tdata (frame_tdata),
    .m_axis_tvalid(frame_tvalid),
    .m_axis_tready(frame_tready),
    .s_axis_tdata (record_tdata),
    .s_axis_tvalid(record_tvalid),
    .s_axis_tready(record_tready)
  );

  tile_engine #(
    .P            (P),
    .PE           (PE),
    .R            (R),
    .V            (V),
    .X_DEPTH      (X_DEPTH),
    .M_DEPTH      (M_DEPTH),
    .IMAGE_BASE   (IMAGE_BASE),
    .PLANES       (PLANES),
    .IMAGE_SIZE   (IMAGE_SIZE),
    .HIGH_DIGITS  (HIGH_DIGITS),
    .LOW_DIGITS   (LOW_DIGITS),
    .ACC_WIDTH    (ACC_WIDTH),
    .POOL_WIDTH   (POOL_WIDTH),
    .TABLES       (TABLES != 0),
    .POOL2        (POOL2),
    .MASK         (MASK != 0),
    .GATES        (GATES),
    .DECISIONS    (DECISIONS),
    .EXITS        (EXITS),
    .HIDDEN       (HIDDEN),
    .FACTORS      (FACTORS),
    .INNER        (INNER),
    .PRODUCTS     (PRODUCTS),
    .PACK         (PACK),
    .WEIGHT_DEPTH (WEIGHT_DEPTH),
    .REQUANT_DEPTH(REQUANT_DEPTH),
    .FC_DEPTH     (FC_DEPTH),
    .BIASES       (BIASES),
    .POOL_DEPTH   (POOL_DEPTH),
    .MODES        (MODES),
    .LAYERS       (LAYERS),
    .CLASSES      (CLASSES),
    .MULT_DSP     (MULT_DSP),
    .REQUANT_DSP  (REQUANT_DSP),
    .ENGINE_HASH  (ENGINE_HASH)
  ) engine (
    .clk          (ap_clk),
    .rst_n        (engine_rst_n),
    .network_done (network_done),
    .network_error(network_error),
    .network_modes(network_modes),
    .gate_host    (gate_host),
    .exit_host    (exit_host),
    .s_axis_tdata (frame_tdata),
    .s_axis_tvalid(frame_tvalid),
    .s_axis_tready(frame_tready),
    .m_axis_tdata (record_tdata),
    .m_axis_tvalid(record_tvalid),
    .m_axis_tready(record_tready)
  );

endmodule

`default_nettype wire
