// Both buses of the bridge keep their rules.
`default_nettype none

module axi3_lite_bridge_checks #(
  parameter int unsigned ID      = 12,
  parameter int unsigned ADDRESS = 12
) (
  input wire                clk,
  input wire                rst_n,
  input wire  [ID-1:0]      s_axi_awid,
  input wire  [31:0]        s_axi_awaddr,
  input wire  [3:0]         s_axi_awlen,
  input wire  [1:0]         s_axi_awsize,
  input wire  [1:0]         s_axi_awburst,
  input wire                s_axi_awvalid,
  input wire                s_axi_awready,
  input wire  [31:0]        s_axi_wdata,
  input wire  [3:0]         s_axi_wstrb,
  input wire                s_axi_wlast,
  input wire                s_axi_wvalid,
  input wire                s_axi_wready,
  input wire  [ID-1:0]      s_axi_bid,
  input wire  [1:0]         s_axi_bresp,
  input wire                s_axi_bvalid,
  input wire                s_axi_bready,
  input wire  [ID-1:0]      s_axi_arid,
  input wire  [31:0]        s_axi_araddr,
  input wire  [3:0]         s_axi_arlen,
  input wire  [1:0]         s_axi_arsize,
  input wire  [1:0]         s_axi_arburst,
  input wire                s_axi_arvalid,
  input wire                s_axi_arready,
  input wire  [ID-1:0]      s_axi_rid,
  input wire  [31:0]        s_axi_rdata,
  input wire  [1:0]         s_axi_rresp,
  input wire                s_axi_rlast,
  input wire                s_axi_rvalid,
  input wire                s_axi_rready,
  input wire  [ADDRESS-1:0] m_axi_awaddr,
  input wire                m_axi_awvalid,
  input wire                m_axi_awready,
  input wire  [31:0]        m_axi_wdata,
  input wire  [3:0]         m_axi_wstrb,
  input wire                m_axi_wvalid,
  input wire                m_axi_wready,
  input wire  [1:0]         m_axi_bresp,
  input wire                m_axi_bvalid,
  input wire                m_axi_bready,
  input wire  [ADDRESS-1:0] m_axi_araddr,
  input wire                m_axi_arvalid,
  input wire                m_axi_arready,
  input wire  [31:0]        m_axi_rdata,
  input wire  [1:0]         m_axi_rresp,
  input wire                m_axi_rvalid,
  input wire                m_axi_rready
);

  axi4_rules #(.DATA(32), .ID(ID), .WHOLE(0)) processor (
    .clk, .rst_n,
    .awid(s_axi_awid), .awaddr(s_axi_awaddr), .awlen({4'd0, s_axi_awlen}), .awsize({1'b0, s_axi_awsize}),
    .awburst(s_axi_awburst), .awvalid(s_axi_awvalid), .awready(s_axi_awready),
    .wdata(s_axi_wdata), .wstrb(s_axi_wstrb), .wlast(s_axi_wlast), .wvalid(s_axi_wvalid), .wready(s_axi_wready),
    .bid(s_axi_bid), .bresp(s_axi_bresp), .bvalid(s_axi_bvalid), .bready(s_axi_bready),
    .arid(s_axi_arid), .araddr(s_axi_araddr), .arlen({4'd0, s_axi_arlen}), .arsize({1'b0, s_axi_arsize}),
    .arburst(s_axi_arburst), .arvalid(s_axi_arvalid), .arready(s_axi_arready),
    .rid(s_axi_rid), .rdata(s_axi_rdata), .rresp(s_axi_rresp), .rlast(s_axi_rlast), .rvalid(s_axi_rvalid),
    .rready(s_axi_rready)
  );

  axi_lite_rules #(.ADDRESS(ADDRESS)) accelerator (
    .clk, .rst_n,
    .awaddr(m_axi_awaddr), .awvalid(m_axi_awvalid), .awready(m_axi_awready),
    .wdata(m_axi_wdata), .wstrb(m_axi_wstrb), .wvalid(m_axi_wvalid), .wready(m_axi_wready),
    .bresp(m_axi_bresp), .bvalid(m_axi_bvalid), .bready(m_axi_bready),
    .araddr(m_axi_araddr), .arvalid(m_axi_arvalid), .arready(m_axi_arready),
    .rdata(m_axi_rdata), .rresp(m_axi_rresp), .rvalid(m_axi_rvalid), .rready(m_axi_rready)
  );

endmodule

bind axi3_lite_bridge axi3_lite_bridge_checks #(.ID(ID), .ADDRESS(ADDRESS)) checks (.*);

`default_nettype wire
