// FIFO of FINN's stream ports for the search of depths: its depth is an input, the most that it has held an output.
// A beat that is taken can leave in the next cycle.
`default_nettype none

module gauge_fifo #(
	int unsigned  WIDTH,
	int unsigned  ROOM  // beats of memory; a limit above has no effect
)(
	input	wire  ap_clk,
	input	wire  ap_rst_n,

	input	wire [31:0]  limit,
	output	logic [31:0]  peak,

	input	wire [WIDTH-1:0]  in0_V_tdata,
	input	wire  in0_V_tvalid,
	output	logic  in0_V_tready,

	output	logic [WIDTH-1:0]  out0_V_tdata,
	output	logic  out0_V_tvalid,
	input	wire  out0_V_tready
);
	localparam int unsigned  BITS = ROOM > 1? $clog2(ROOM) : 1;

	logic [WIDTH-1:0]  Memory[2**BITS];
	logic [BITS-1:0]  Write;
	logic [BITS-1:0]  Read;
	logic [31:0]  Count;
	logic [31:0]  Peak;

	uwire  push = in0_V_tvalid && in0_V_tready;
	uwire  pop = out0_V_tvalid && out0_V_tready;
	uwire [31:0]  after = Count + 32'(push) - 32'(pop);
	always_ff @(posedge ap_clk) begin
		if(!ap_rst_n) begin
			Write <= '0;
			Read <= '0;
			Count <= '0;
			Peak <= '0;
		end
		else begin
			Write <= Write + BITS'(push);
			Read <= Read + BITS'(pop);
			Count <= after;
			if(after > Peak)  Peak <= after;
		end
		if(push)  Memory[Write] <= in0_V_tdata;
	end
	assign	in0_V_tready = Count < limit && Count < 2**BITS;
	assign	out0_V_tvalid = Count != 0;
	assign	out0_V_tdata = Memory[Read];
	assign	peak = Peak;
endmodule : gauge_fifo

`default_nettype wire
