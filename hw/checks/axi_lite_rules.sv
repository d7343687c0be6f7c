// Rules of an AXI4-Lite bus, for both of its sides (IHI 0022, B1): handshakes, answers after what they answer.
`default_nettype none

module axi_lite_rules #(
  /// Width of an address, in bits.
  parameter int unsigned ADDRESS = 12
) (
  /// Clock.
  input wire                clk,
  /// Synchronous reset, active low.
  input wire                rst_n,

  input wire  [ADDRESS-1:0] awaddr,
  input wire                awvalid,
  input wire                awready,
  input wire  [31:0]        wdata,
  input wire  [3:0]         wstrb,
  input wire                wvalid,
  input wire                wready,
  input wire  [1:0]         bresp,
  input wire                bvalid,
  input wire                bready,
  input wire  [ADDRESS-1:0] araddr,
  input wire                arvalid,
  input wire                arready,
  input wire  [31:0]        rdata,
  input wire  [1:0]         rresp,
  input wire                rvalid,
  input wire                rready
);

  logic on;
  after_reset contracts (.clk, .rst_n, .on);

  handshake_rules #(.WIDTH(ADDRESS)) aw (.clk, .rst_n, .valid(awvalid), .ready(awready), .payload(awaddr));
  handshake_rules #(.WIDTH(36)) w (.clk, .rst_n, .valid(wvalid), .ready(wready), .payload({wdata, wstrb}));
  handshake_rules #(.WIDTH(2)) b (.clk, .rst_n, .valid(bvalid), .ready(bready), .payload(bresp));
  handshake_rules #(.WIDTH(ADDRESS)) ar (.clk, .rst_n, .valid(arvalid), .ready(arready), .payload(araddr));
  handshake_rules #(.WIDTH(34)) r (.clk, .rst_n, .valid(rvalid), .ready(rready), .payload({rdata, rresp}));

  // All counts run on.
  int unsigned addresses, data, written, asked, read;
  always_ff @(posedge clk) begin
    if (!rst_n) begin
      addresses <= 0;
      data      <= 0;
      written   <= 0;
      asked     <= 0;
      read      <= 0;
    end else begin
      if (awvalid && awready) addresses <= addresses + 1;
      if (wvalid && wready)   data      <= data + 1;
      if (bvalid && bready)   written   <= written + 1;
      if (arvalid && arready) asked     <= asked + 1;
      if (rvalid && rready)   read      <= read + 1;
    end
  end

  always_ff @(posedge clk) if (on && bvalid)
    write_answer: assert (written != addresses && written != data)
      else $fatal(1, "a write is answered before its address and data are taken");

  always_ff @(posedge clk) if (on && rvalid)
    read_answer: assert (read != asked)
      else $fatal(1, "a read is answered before it is asked for");

endmodule

`default_nettype wire
