// Two memories, one that nothing writes and one that a file may fill, and a register that nothing writes.
module unwritten #(parameter  IMAGE = "")(
	input	logic  ap_clk,
	input	logic [3:0]  index,
	output	logic [7:0]  never,
	output	logic [7:0]  image,
	output	logic [7:0]  register
);
	logic [7:0]  Never[16];
	logic [7:0]  Image[16];
	logic [7:0]  Start;
	initial if(IMAGE != "")  $readmemh(IMAGE, Image);
	assign	never = Never[index];
	assign	image = Image[index];
	always_ff @(posedge ap_clk)  register <= Start;
endmodule : unwritten
