// The register port keeps the rules of its bus, and so does the host.
`default_nettype none

module axi_lite_slave_checks #(
  parameter int unsigned ADDRESS = 12
) (
  input wire                clk,
  input wire                rst_n,
  input wire  [ADDRESS-1:0] s_axi_awaddr,
  input wire                s_axi_awvalid,
  input wire                s_axi_awready,
  input wire  [31:0]        s_axi_wdata,
  input wire  [3:0]         s_axi_wstrb,
  input wire                s_axi_wvalid,
  input wire                s_axi_wready,
  input wire  [1:0]         s_axi_bresp,
  input wire                s_axi_bvalid,
  input wire                s_axi_bready,
  input wire  [ADDRESS-1:0] s_axi_araddr,
  input wire                s_axi_arvalid,
  input wire                s_axi_arready,
  input wire  [31:0]        s_axi_rdata,
  input wire  [1:0]         s_axi_rresp,
  input wire                s_axi_rvalid,
  input wire                s_axi_rready
);

  axi_lite_rules #(.ADDRESS(ADDRESS)) host (
    .clk, .rst_n,
    .awaddr(s_axi_awaddr), .awvalid(s_axi_awvalid), .awready(s_axi_awready),
    .wdata(s_axi_wdata), .wstrb(s_axi_wstrb), .wvalid(s_axi_wvalid), .wready(s_axi_wready),
    .bresp(s_axi_bresp), .bvalid(s_axi_bvalid), .bready(s_axi_bready),
    .araddr(s_axi_araddr), .arvalid(s_axi_arvalid), .arready(s_axi_arready),
    .rdata(s_axi_rdata), .rresp(s_axi_rresp), .rvalid(s_axi_rvalid), .rready(s_axi_rready)
  );

endmodule

bind axi_lite_slave axi_lite_slave_checks #(.ADDRESS(ADDRESS)) checks (.*);

`default_nettype wire
