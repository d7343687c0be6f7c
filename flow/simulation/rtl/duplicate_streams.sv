// Copies of one stream: a beat is taken when every copy of it has gone. Each copy leaves once, in the cycle in which
// its own side is ready; no combinational way from a ready to another copy's valid.
`default_nettype none

module duplicate_streams #(
	int unsigned  WIDTH,
	int unsigned  COPIES
)(
	input	wire  clk,
	input	wire  rst,

	input	wire [WIDTH-1:0]  idat,
	input	wire  ivld,
	output	logic  irdy,

	output	logic [COPIES-1:0][WIDTH-1:0]  odat,
	output	logic [COPIES-1:0]  ovld,
	input	wire [COPIES-1:0]  ordy
);
	logic [COPIES-1:0]  Gone;  // copies of the present beat that have left
	always_ff @(posedge clk) begin
		if(rst || irdy)  Gone <= '0;
		else             Gone <= Gone | (ovld & ordy);
	end
	assign	odat = { COPIES{idat} };
	assign	ovld = { COPIES{ivld} } & ~Gone;
	assign	irdy = ivld && &(Gone | ordy);
endmodule : duplicate_streams

`default_nettype wire
