// Stream that replaces every byte by the entry of a table in a file; one beat of storage.
module lookup #(
	int unsigned  OFFSET = 0,
	parameter     TABLE = "table.mem"
)(
	input	logic  ap_clk,
	input	logic  ap_rst_n,
	input	logic [7:0]  in0_V_tdata,
	input	logic  in0_V_tvalid,
	output	logic  in0_V_tready,
	output	logic [95:0]  out0_V_tdata,
	output	logic  out0_V_tvalid,
	input	logic  out0_V_tready
);

	logic [7:0]  Table[16];
	initial $readmemh(TABLE, Table);

	logic [7:0]  Data;
	logic  Valid;
	always_ff @(posedge ap_clk) begin
		if(!ap_rst_n)  Valid <= 0;
		else if(in0_V_tready) begin
			Valid <= in0_V_tvalid;
			Data  <= Table[in0_V_tdata[3:0]];
			assert(!in0_V_tvalid || in0_V_tdata < 16) else $error("index %0d is beyond the table", in0_V_tdata);
		end
	end
	assign	in0_V_tready  = !Valid || out0_V_tready;
	assign	out0_V_tvalid = Valid;
	assign	out0_V_tdata  = { 80'hABCD, 8'(OFFSET), Data };

endmodule : lookup
