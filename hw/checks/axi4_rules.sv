// Rules of an AXI4 (or AXI3) bus, for both of its sides (IHI 0022, A3): handshakes, shape of bursts, order of answers.
//
// Answers are expected in the order of the requests. Write data may come before their address.
`default_nettype none

module axi4_rules #(
  /// Width of an address, of data and of an identifier, in bits.
  parameter int unsigned ADDRESS     = 32,
  parameter int unsigned DATA        = 64,
  parameter int unsigned ID          = 1,
  /// Longest burst, in beats.
  parameter int unsigned MAX_BEATS   = 16,
  /// Bursts of whole beats at rising addresses only, as the DMA makes them.
  parameter bit          WHOLE       = 1,
  /// Most bursts under way, of each kind.
  parameter int unsigned OUTSTANDING = 16
) (
  /// Clock.
  input wire                clk,
  /// Synchronous reset, active low.
  input wire                rst_n,

  input wire  [ID-1:0]      awid,
  input wire  [ADDRESS-1:0] awaddr,
  input wire  [7:0]         awlen,
  input wire  [2:0]         awsize,
  input wire  [1:0]         awburst,
  input wire                awvalid,
  input wire                awready,
  input wire  [DATA-1:0]    wdata,
  input wire  [DATA/8-1:0]  wstrb,
  input wire                wlast,
  input wire                wvalid,
  input wire                wready,
  input wire  [ID-1:0]      bid,
  input wire  [1:0]         bresp,
  input wire                bvalid,
  input wire                bready,
  input wire  [ID-1:0]      arid,
  input wire  [ADDRESS-1:0] araddr,
  input wire  [7:0]         arlen,
  input wire  [2:0]         arsize,
  input wire  [1:0]         arburst,
  input wire                arvalid,
  input wire                arready,
  input wire  [ID-1:0]      rid,
  input wire  [DATA-1:0]    rdata,
  input wire  [1:0]         rresp,
  input wire                rlast,
  input wire                rvalid,
  input wire                rready
);

  logic on;
  after_reset contracts (.clk, .rst_n, .on);

  localparam int unsigned SIZE = $clog2(DATA / 8);

  handshake_rules #(.WIDTH(ID + ADDRESS + 13)) aw (
    .clk, .rst_n, .valid(awvalid), .ready(awready), .payload({awid, awaddr, awlen, awsize, awburst}));
  handshake_rules #(.WIDTH(DATA + DATA / 8 + 1)) w (
    .clk, .rst_n, .valid(wvalid), .ready(wready), .payload({wdata, wstrb, wlast}));
  handshake_rules #(.WIDTH(ID + 2)) b (
    .clk, .rst_n, .valid(bvalid), .ready(bready), .payload({bid, bresp}));
  handshake_rules #(.WIDTH(ID + ADDRESS + 13)) ar (
    .clk, .rst_n, .valid(arvalid), .ready(arready), .payload({arid, araddr, arlen, arsize, arburst}));
  handshake_rules #(.WIDTH(ID + DATA + 3)) r (
    .clk, .rst_n, .valid(rvalid), .ready(rready), .payload({rid, rdata, rresp, rlast}));

  burst_rules #(.ADDRESS(ADDRESS), .SIZE(SIZE), .MAX_BEATS(MAX_BEATS), .WHOLE(WHOLE)) write_burst (
    .clk, .valid(on && awvalid), .address(awaddr), .length(awlen), .size(awsize), .kind(awburst));
  burst_rules #(.ADDRESS(ADDRESS), .SIZE(SIZE), .MAX_BEATS(MAX_BEATS), .WHOLE(WHOLE)) read_burst (
    .clk, .valid(on && arvalid), .address(araddr), .length(arlen), .size(arsize), .kind(arburst));

  // Bursts are numbered in the order of their addresses; all counts run on.
  if (1) begin : blkWrite
    logic [7:0]    length [OUTSTANDING];
    logic [ID-1:0] id [OUTSTANDING];
    logic [7:0]    sent [OUTSTANDING];  // beats before the last one, of bursts whose data have come
    int unsigned   asked, complete, checked, answered;
    logic [7:0]    beat;

    always_ff @(posedge clk) begin
      if (!rst_n) begin
        asked    <= 0;
        complete <= 0;
        checked  <= 0;
        answered <= 0;
        beat     <= '0;
      end else begin
        if (awvalid && awready) begin
          length[asked % OUTSTANDING] <= awlen;
          id[asked % OUTSTANDING]     <= awid;
          asked                       <= asked + 1;
        end
        if (wvalid && wready) begin
          beat <= wlast ? '0 : beat + 1'b1;
          if (wlast) begin
            sent[complete % OUTSTANDING] <= beat;
            complete                     <= complete + 1;
          end
        end
        if (checked != asked && checked != complete) checked <= checked + 1;
        if (bvalid && bready) answered <= answered + 1;
      end
    end

    always_ff @(posedge clk) if (on)
      few: assert (asked - answered <= OUTSTANDING && complete - answered <= OUTSTANDING)
        else $fatal(1, "more than %0d writes are under way", OUTSTANDING);

    always_ff @(posedge clk) if (on && wvalid)
      not_long: assert (32'(beat) < MAX_BEATS)
        else $fatal(1, "a write goes on after %0d beats", MAX_BEATS);

    always_ff @(posedge clk) if (on && checked != asked && checked != complete)
      last: assert (sent[checked % OUTSTANDING] == length[checked % OUTSTANDING])
        else $fatal(1, "the last beat of a write is in the wrong place");

    always_ff @(posedge clk) if (on && bvalid) begin
      answer: assert (answered != asked && answered != complete)
        else $fatal(1, "a write is answered before it is complete");
      identifier: assert (bid == id[answered % OUTSTANDING])
        else $fatal(1, "the answer of a write carries another identifier");
    end
  end

  if (1) begin : blkRead
    logic [7:0]    length [OUTSTANDING];
    logic [ID-1:0] id [OUTSTANDING];
    int unsigned   asked, answered;
    logic [7:0]    beat;

    always_ff @(posedge clk) begin
      if (!rst_n) begin
        asked    <= 0;
        answered <= 0;
        beat     <= '0;
      end else begin
        if (arvalid && arready) begin
          length[asked % OUTSTANDING] <= arlen;
          id[asked % OUTSTANDING]     <= arid;
          asked                       <= asked + 1;
        end
        if (rvalid && rready) begin
          beat <= rlast ? '0 : beat + 1'b1;
          if (rlast) answered <= answered + 1;
        end
      end
    end

    always_ff @(posedge clk) if (on)
      few: assert (asked - answered <= OUTSTANDING)
        else $fatal(1, "more than %0d reads are under way", OUTSTANDING);

    always_ff @(posedge clk) if (on && rvalid) begin
      answer: assert (answered != asked)
        else $fatal(1, "a read is answered before it is asked for");
      last: assert (rlast == (beat == length[answered % OUTSTANDING]))
        else $fatal(1, "the last beat of a read is in the wrong place");
      identifier: assert (rid == id[answered % OUTSTANDING])
        else $fatal(1, "the answer of a read carries another identifier");
    end
  end

endmodule

`default_nettype wire
