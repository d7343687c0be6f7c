// The bus master and the frame stream keep their rules.
module axi_shell_checks (
  input logic        clk,
  input logic        rst_n,
  input logic [31:0] m_axi_awaddr,
  input logic [7:0]  m_axi_awlen,
  input logic [2:0]  m_axi_awsize,
  input logic [1:0]  m_axi_awburst,
  input logic        m_axi_awvalid,
  input logic        m_axi_awready,
  input logic [63:0] m_axi_wdata,
  input logic [7:0]  m_axi_wstrb,
  input logic        m_axi_wlast,
  input logic        m_axi_wvalid,
  input logic        m_axi_wready,
  input logic [1:0]  m_axi_bresp,
  input logic        m_axi_bvalid,
  input logic        m_axi_bready,
  input logic [31:0] m_axi_araddr,
  input logic [7:0]  m_axi_arlen,
  input logic [2:0]  m_axi_arsize,
  input logic [1:0]  m_axi_arburst,
  input logic        m_axi_arvalid,
  input logic        m_axi_arready,
  input logic [63:0] m_axi_rdata,
  input logic [1:0]  m_axi_rresp,
  input logic        m_axi_rlast,
  input logic        m_axi_rvalid,
  input logic        m_axi_rready,
  input logic        engine_rst_n,
  input logic [63:0] m_axis_tdata,
  input logic        m_axis_tvalid,
  input logic        m_axis_tready
);

  axi4_rules memory (
    .clk, .rst_n,
    .awid(1'b0), .awaddr(m_axi_awaddr), .awlen(m_axi_awlen), .awsize(m_axi_awsize), .awburst(m_axi_awburst),
    .awvalid(m_axi_awvalid), .awready(m_axi_awready),
    .wdata(m_axi_wdata), .wstrb(m_axi_wstrb), .wlast(m_axi_wlast), .wvalid(m_axi_wvalid), .wready(m_axi_wready),
    .bid(1'b0), .bresp(m_axi_bresp), .bvalid(m_axi_bvalid), .bready(m_axi_bready),
    .arid(1'b0), .araddr(m_axi_araddr), .arlen(m_axi_arlen), .arsize(m_axi_arsize), .arburst(m_axi_arburst),
    .arvalid(m_axi_arvalid), .arready(m_axi_arready),
    .rid(1'b0), .rdata(m_axi_rdata), .rresp(m_axi_rresp), .rlast(m_axi_rlast), .rvalid(m_axi_rvalid),
    .rready(m_axi_rready)
  );

  // A soft reset empties the buffer and resets the engine with it.
  handshake_rules #(.WIDTH(64)) frames (
    .clk, .rst_n(engine_rst_n), .valid(m_axis_tvalid), .ready(m_axis_tready), .payload(m_axis_tdata));

endmodule

bind axi_shell axi_shell_checks checks (.*);
