// The register port keeps the rules of its bus, and so does the host.
module axi_lite_slave_checks #(
  parameter int unsigned ADDRESS = 12
) (
  input logic               clk,
  input logic               rst_n,
  input logic [ADDRESS-1:0] s_axi_awaddr,
  input logic               s_axi_awvalid,
  input logic               s_axi_awready,
  input logic [31:0]        s_axi_wdata,
  input logic [3:0]         s_axi_wstrb,
  input logic               s_axi_wvalid,
  input logic               s_axi_wready,
  input logic [1:0]         s_axi_bresp,
  input logic               s_axi_bvalid,
  input logic               s_axi_bready,
  input logic [ADDRESS-1:0] s_axi_araddr,
  input logic               s_axi_arvalid,
  input logic               s_axi_arready,
  input logic [31:0]        s_axi_rdata,
  input logic [1:0]         s_axi_rresp,
  input logic               s_axi_rvalid,
  input logic               s_axi_rready
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
