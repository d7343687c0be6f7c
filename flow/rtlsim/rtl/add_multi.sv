// Pipelined sum of N addends for simulation, with the ports and the latency of finn-rtllib's `add_multi`,
// which Verilator cannot read (a constant function over an unpacked array).
//
// The sum of the addends of one cycle appears DEPTH enabled cycles later. Addends are signed where
// ARG_LO is negative. Reset clears the pipeline.
module add_multi import mvu_pkg::*; #(
	int unsigned  N,
	int unsigned  DEPTH,
	int unsigned  ARG_WIDTH,
	int  ARG_LO = 0,
	int  ARG_HI = 0,
	bit  RESET_ZERO = 1,

	localparam int unsigned  SUM_WIDTH = sumwidth(N, ARG_WIDTH, ARG_LO, ARG_HI)
)(
	input	logic  clk,
	input	logic  rst,
	input	logic  en,

	input	logic [ARG_WIDTH-1:0]  arg[N],
	output	logic [SUM_WIDTH-1:0]  sum
);

	logic [SUM_WIDTH-1:0]  total;
	always_comb begin
		total = '0;
		foreach(arg[i])  total += ARG_LO < 0? SUM_WIDTH'($signed(arg[i])) : SUM_WIDTH'(arg[i]);
	end

	if(DEPTH == 0)  assign  sum = total;
	else begin : genPipeline
		logic [SUM_WIDTH-1:0]  Sum[DEPTH];
		always_ff @(posedge clk) begin
			if(rst)  Sum <= '{ default: '0 };
			else if(en) begin
				Sum[0] <= total;
				for(int unsigned  i = 1; i < DEPTH; i++)  Sum[i] <= Sum[i-1];
			end
		end
		assign  sum = Sum[DEPTH-1];
	end : genPipeline

endmodule : add_multi
