// The accelerator on a Zynq-7000 without a block design: for the open tools, which know only the primitive PS7.
//
// FCLK0 is the clock, its reset is synchronised; M_AXI_GP0 reaches the registers (whatever the address above bit 11:
// nothing else is there), S_AXI_HP0 serves the DMA, the interrupt is IRQF2P[0] (interrupt 61). How the
// processing system is set up (clocks, memory, pins) is the boot loader's matter. The design has no pins of its own.
//
// `accelerator` is the generated top with a build's parameters. Not tried on hardware.
`default_nettype none

module zynq_top;

  // One of the processor's four clocks.
  // verilator lint_off UNUSEDSIGNAL
  logic [3:0] fclk, fclk_reset_n;
  // verilator lint_on UNUSEDSIGNAL
  logic       clk, rst_n;

  BUFG clock_buffer (.I(fclk[0]), .O(clk));

  if (1) begin : blkReset
    // Their value when the part is configured.
    // verilator lint_off PROCASSINIT
    (* ASYNC_REG = "TRUE" *) logic [2:0] stage = '0;
    // verilator lint_on PROCASSINIT
    always_ff @(posedge clk) stage <= {stage[1:0], fclk_reset_n[0]};
    assign rst_n = stage[2];
  end

  // Processor to registers, AXI3.
  logic [11:0] gp_awid, gp_arid, gp_bid, gp_rid;
  logic [31:0] gp_awaddr, gp_araddr, gp_wdata, gp_rdata;
  logic [3:0]  gp_awlen, gp_arlen, gp_wstrb;
  logic [1:0]  gp_awsize, gp_arsize, gp_awburst, gp_arburst, gp_bresp, gp_rresp;
  logic        gp_awvalid, gp_awready, gp_wlast, gp_wvalid, gp_wready, gp_bvalid, gp_bready;
  logic        gp_arvalid, gp_arready, gp_rlast, gp_rvalid, gp_rready;

  // Registers, AXI4-Lite.
  logic [11:0] s_axi_control_awaddr, s_axi_control_araddr;
  logic [31:0] s_axi_control_wdata, s_axi_control_rdata;
  logic [3:0]  s_axi_control_wstrb;
  logic [1:0]  s_axi_control_bresp, s_axi_control_rresp;
  logic        s_axi_control_awvalid, s_axi_control_awready, s_axi_control_wvalid, s_axi_control_wready;
  logic        s_axi_control_bvalid, s_axi_control_bready, s_axi_control_arvalid, s_axi_control_arready;
  logic        s_axi_control_rvalid, s_axi_control_rready;

  // Accelerator to memory, AXI4 with AXI3 lengths.
  logic [31:0] m_axi_awaddr, m_axi_araddr;
  // AXI3 has four bits of a length and two of a size; the accelerator's bursts need no more.
  // verilator lint_off UNUSEDSIGNAL
  logic [7:0]  m_axi_awlen, m_axi_arlen;
  logic [2:0]  m_axi_awsize, m_axi_arsize, m_axi_awprot, m_axi_arprot;
  // verilator lint_on UNUSEDSIGNAL
  logic [1:0]  m_axi_awburst, m_axi_arburst, m_axi_bresp, m_axi_rresp;
  logic [3:0]  m_axi_awcache, m_axi_arcache;
  logic [63:0] m_axi_wdata, m_axi_rdata;
  logic [7:0]  m_axi_wstrb;
  logic        m_axi_awvalid, m_axi_awready, m_axi_wlast, m_axi_wvalid, m_axi_wready, m_axi_bvalid, m_axi_bready;
  logic        m_axi_arvalid, m_axi_arready, m_axi_rlast, m_axi_rvalid, m_axi_rready;

  logic irq;

  axi3_lite_bridge #(.ID(12), .ADDRESS(12)) bridge (
    .clk, .rst_n,
    .s_axi_awid(gp_awid), .s_axi_awaddr(gp_awaddr), .s_axi_awlen(gp_awlen), .s_axi_awsize(gp_awsize),
    .s_axi_awburst(gp_awburst), .s_axi_awvalid(gp_awvalid), .s_axi_awready(gp_awready),
    .s_axi_wdata(gp_wdata), .s_axi_wstrb(gp_wstrb), .s_axi_wlast(gp_wlast), .s_axi_wvalid(gp_wvalid),
    .s_axi_wready(gp_wready),
    .s_axi_bid(gp_bid), .s_axi_bresp(gp_bresp), .s_axi_bvalid(gp_bvalid), .s_axi_bready(gp_bready),
    .s_axi_arid(gp_arid), .s_axi_araddr(gp_araddr), .s_axi_arlen(gp_arlen), .s_axi_arsize(gp_arsize),
    .s_axi_arburst(gp_arburst), .s_axi_arvalid(gp_arvalid), .s_axi_arready(gp_arready),
    .s_axi_rid(gp_rid), .s_axi_rdata(gp_rdata), .s_axi_rresp(gp_rresp), .s_axi_rlast(gp_rlast),
    .s_axi_rvalid(gp_rvalid), .s_axi_rready(gp_rready),
    .m_axi_awaddr(s_axi_control_awaddr), .m_axi_awvalid(s_axi_control_awvalid), .m_axi_awready(s_axi_control_awready),
    .m_axi_wdata(s_axi_control_wdata), .m_axi_wstrb(s_axi_control_wstrb), .m_axi_wvalid(s_axi_control_wvalid),
    .m_axi_wready(s_axi_control_wready),
    .m_axi_bresp(s_axi_control_bresp), .m_axi_bvalid(s_axi_control_bvalid), .m_axi_bready(s_axi_control_bready),
    .m_axi_araddr(s_axi_control_araddr), .m_axi_arvalid(s_axi_control_arvalid), .m_axi_arready(s_axi_control_arready),
    .m_axi_rdata(s_axi_control_rdata), .m_axi_rresp(s_axi_control_rresp), .m_axi_rvalid(s_axi_control_rvalid),
    .m_axi_rready(s_axi_control_rready)
  );

  accelerator gatefold_0 (.ap_clk(clk), .ap_rst_n(rst_n), .*);

  // Left open: the processor's pins that this design does without.
  // verilator lint_off PINMISSING
  PS7 processing_system (
    .FCLKCLK(fclk), .FCLKRESETN(fclk_reset_n), .FCLKCLKTRIGN(4'b0), .FPGAIDLEN(1'b1), .IRQF2P({19'b0, irq}),

    .MAXIGP0ACLK(clk),
    .MAXIGP0AWID(gp_awid), .MAXIGP0AWADDR(gp_awaddr), .MAXIGP0AWLEN(gp_awlen), .MAXIGP0AWSIZE(gp_awsize),
    .MAXIGP0AWBURST(gp_awburst), .MAXIGP0AWVALID(gp_awvalid), .MAXIGP0AWREADY(gp_awready),
    .MAXIGP0WDATA(gp_wdata), .MAXIGP0WSTRB(gp_wstrb), .MAXIGP0WLAST(gp_wlast), .MAXIGP0WVALID(gp_wvalid),
    .MAXIGP0WREADY(gp_wready),
    .MAXIGP0BID(gp_bid), .MAXIGP0BRESP(gp_bresp), .MAXIGP0BVALID(gp_bvalid), .MAXIGP0BREADY(gp_bready),
    .MAXIGP0ARID(gp_arid), .MAXIGP0ARADDR(gp_araddr), .MAXIGP0ARLEN(gp_arlen), .MAXIGP0ARSIZE(gp_arsize),
    .MAXIGP0ARBURST(gp_arburst), .MAXIGP0ARVALID(gp_arvalid), .MAXIGP0ARREADY(gp_arready),
    .MAXIGP0RID(gp_rid), .MAXIGP0RDATA(gp_rdata), .MAXIGP0RRESP(gp_rresp), .MAXIGP0RLAST(gp_rlast),
    .MAXIGP0RVALID(gp_rvalid), .MAXIGP0RREADY(gp_rready),

    .SAXIHP0ACLK(clk), .SAXIHP0RDISSUECAP1EN(1'b0), .SAXIHP0WRISSUECAP1EN(1'b0),
    .SAXIHP0AWID(6'b0), .SAXIHP0AWADDR(m_axi_awaddr), .SAXIHP0AWLEN(m_axi_awlen[3:0]), .SAXIHP0AWSIZE(m_axi_awsize[1:0]),
    .SAXIHP0AWBURST(m_axi_awburst), .SAXIHP0AWLOCK(2'b0), .SAXIHP0AWCACHE(m_axi_awcache), .SAXIHP0AWPROT(m_axi_awprot),
    .SAXIHP0AWQOS(4'b0), .SAXIHP0AWVALID(m_axi_awvalid), .SAXIHP0AWREADY(m_axi_awready),
    .SAXIHP0WID(6'b0), .SAXIHP0WDATA(m_axi_wdata), .SAXIHP0WSTRB(m_axi_wstrb), .SAXIHP0WLAST(m_axi_wlast),
    .SAXIHP0WVALID(m_axi_wvalid), .SAXIHP0WREADY(m_axi_wready),
    .SAXIHP0BRESP(m_axi_bresp), .SAXIHP0BVALID(m_axi_bvalid), .SAXIHP0BREADY(m_axi_bready),
    .SAXIHP0ARID(6'b0), .SAXIHP0ARADDR(m_axi_araddr), .SAXIHP0ARLEN(m_axi_arlen[3:0]), .SAXIHP0ARSIZE(m_axi_arsize[1:0]),
    .SAXIHP0ARBURST(m_axi_arburst), .SAXIHP0ARLOCK(2'b0), .SAXIHP0ARCACHE(m_axi_arcache), .SAXIHP0ARPROT(m_axi_arprot),
    .SAXIHP0ARQOS(4'b0), .SAXIHP0ARVALID(m_axi_arvalid), .SAXIHP0ARREADY(m_axi_arready),
    .SAXIHP0RDATA(m_axi_rdata), .SAXIHP0RRESP(m_axi_rresp), .SAXIHP0RLAST(m_axi_rlast), .SAXIHP0RVALID(m_axi_rvalid),
    .SAXIHP0RREADY(m_axi_rready)
  );
  // verilator lint_on PINMISSING

endmodule

`default_nettype wire
