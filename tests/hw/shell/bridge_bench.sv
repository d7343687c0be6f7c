// The bridge with the field widths of AXI4, as the bus model of the tests wants them.
`default_nettype none

module bridge_bench (
  input  wire         clk,
  input  wire         rst_n,
  input  wire  [11:0] s_axi_awid,
  input  wire  [31:0] s_axi_awaddr,
  input  wire  [7:0]  s_axi_awlen,
  input  wire  [2:0]  s_axi_awsize,
  input  wire  [1:0]  s_axi_awburst,
  input  wire         s_axi_awvalid,
  output logic        s_axi_awready,
  input  wire  [31:0] s_axi_wdata,
  input  wire  [3:0]  s_axi_wstrb,
  input  wire         s_axi_wlast,
  input  wire         s_axi_wvalid,
  output logic        s_axi_wready,
  output logic [11:0] s_axi_bid,
  output logic [1:0]  s_axi_bresp,
  output logic        s_axi_bvalid,
  input  wire         s_axi_bready,
  input  wire  [11:0] s_axi_arid,
  input  wire  [31:0] s_axi_araddr,
  input  wire  [7:0]  s_axi_arlen,
  input  wire  [2:0]  s_axi_arsize,
  input  wire  [1:0]  s_axi_arburst,
  input  wire         s_axi_arvalid,
  output logic        s_axi_arready,
  output logic [11:0] s_axi_rid,
  output logic [31:0] s_axi_rdata,
  output logic [1:0]  s_axi_rresp,
  output logic        s_axi_rlast,
  output logic        s_axi_rvalid,
  input  wire         s_axi_rready,
  output logic [11:0] m_axi_awaddr,
  output logic        m_axi_awvalid,
  input  wire         m_axi_awready,
  output logic [31:0] m_axi_wdata,
  output logic [3:0]  m_axi_wstrb,
  output logic        m_axi_wvalid,
  input  wire         m_axi_wready,
  input  wire  [1:0]  m_axi_bresp,
  input  wire         m_axi_bvalid,
  output logic        m_axi_bready,
  output logic [11:0] m_axi_araddr,
  output logic        m_axi_arvalid,
  input  wire         m_axi_arready,
  input  wire  [31:0] m_axi_rdata,
  input  wire  [1:0]  m_axi_rresp,
  input  wire         m_axi_rvalid,
  output logic        m_axi_rready
);

  axi3_lite_bridge bridge (
    .s_axi_awlen (s_axi_awlen[3:0]),
    .s_axi_awsize(s_axi_awsize[1:0]),
    .s_axi_arlen (s_axi_arlen[3:0]),
    .s_axi_arsize(s_axi_arsize[1:0]),
    .*
  );

endmodule

`default_nettype wire
