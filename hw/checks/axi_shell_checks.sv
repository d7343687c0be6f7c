// The bus master and the frame stream keep their rules.
`default_nettype none

module axi_shell_checks (
  input wire         clk,
  input wire         rst_n,
  input wire  [31:0] m_axi_awaddr,
  input wire  [7:0]  m_axi_awlen,
  input wire  [2:0]  m_axi_awsize,
  input wire  [1:0]  m_axi_awburst,
  input wire         m_axi_awvalid,
  input wire         m_axi_awready,
  input wire  [63:0] m_axi_wdata,
  input wire  [7:0]  m_axi_wstrb,
  input wire         m_axi_wlast,
  input wire         m_axi_wvalid,
  input wire         m_axi_wready,
  input wire  [1:0]  m_axi_bresp,
  input wire         m_axi_bvalid,
  input wire         m_axi_bready,
  input wire  [31:0] m_axi_araddr,
  input wire  [7:0]  m_axi_arlen,
  input wire  [2:0]  m_axi_arsize,
  input wire  [1:0]  m_axi_arburst,
  input wire         m_axi_arvalid,
  input wire         m_axi_arready,
  input wire  [63:0] m_axi_rdata,
  input wire  [1:0]  m_axi_rresp,
  input wire         m_axi_rlast,
  input wire         m_axi_rvalid,
  input wire         m_axi_rready,
  input wire         engine_rst_n,
  input wire  [63:0] m_axis_tdata,
  input wire         m_axis_tvalid,
  input wire         m_axis_tready
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

`default_nettype wire
