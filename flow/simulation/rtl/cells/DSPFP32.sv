// Versal's floating-point cell for simulation, as FINN's RTL uses it: single precision without cascades. Inferred from that use,
// and not compared with the cell's documentation (AMD AM004), are the treatment of subnormals and FPOPMODE[4:2] = 2.
//
// FPM = A * (FPINMODE ? B : D); FPA = ±X ± Y with X of FPOPMODE[4:2] (0, 2: zero, 4: FPA itself, 6: C) negated by
// FPOPMODE[6], Y of FPOPMODE[1:0] (0: zero, 1: FPM, 3: D) negated by FPOPMODE[5]. The product is rounded before it is
// added. Subnormal operands count as zero, subnormal results become zero and raise UNDERFLOW.
`default_nettype none

module DSPFP32 #(
	parameter  A_FPTYPE = "B32",
	parameter  A_INPUT = "DIRECT",
	parameter  BCASCSEL = "B",
	parameter  B_D_FPTYPE = "B32",
	parameter  B_INPUT = "DIRECT",
	parameter  PCOUTSEL = "FPA",
	parameter  USE_MULT = "MULTIPLY",
	bit        IS_CLK_INVERTED = 0,
	bit        IS_FPINMODE_INVERTED = 0,
	bit [6:0]  IS_FPOPMODE_INVERTED = 0,
	bit        IS_RSTA_INVERTED = 0,
	bit        IS_RSTB_INVERTED = 0,
	bit        IS_RSTC_INVERTED = 0,
	bit        IS_RSTD_INVERTED = 0,
	bit        IS_RSTFPA_INVERTED = 0,
	bit        IS_RSTFPINMODE_INVERTED = 0,
	bit        IS_RSTFPMPIPE_INVERTED = 0,
	bit        IS_RSTFPM_INVERTED = 0,
	bit        IS_RSTFPOPMODE_INVERTED = 0,
	int        ACASCREG = 1,
	int        AREG = 1,
	int        FPA_PREG = 1,
	int        FPBREG = 1,
	int        FPCREG = 3,
	int        FPDREG = 1,
	int        FPMPIPEREG = 1,
	int        FPM_PREG = 1,
	int        FPOPMREG = 3,
	int        INMODEREG = 1,
	parameter  RESET_MODE = "SYNC"
)(
	output	logic [7:0]  ACOUT_EXP,
	output	logic [22:0]  ACOUT_MAN,
	output	logic  ACOUT_SIGN,
	output	logic [7:0]  BCOUT_EXP,
	output	logic [22:0]  BCOUT_MAN,
	output	logic  BCOUT_SIGN,
	output	logic [31:0]  PCOUT,
	output	logic  FPM_INVALID,
	output	logic  FPM_OVERFLOW,
	output	logic  FPM_UNDERFLOW,
	output	logic [31:0]  FPM_OUT,
	output	logic  FPA_INVALID,
	output	logic  FPA_OVERFLOW,
	output	logic  FPA_UNDERFLOW,
	output	logic [31:0]  FPA_OUT,
	input	wire [7:0]  ACIN_EXP,
	input	wire [22:0]  ACIN_MAN,
	input	wire  ACIN_SIGN,
	input	wire [7:0]  BCIN_EXP,
	input	wire [22:0]  BCIN_MAN,
	input	wire  BCIN_SIGN,
	input	wire [31:0]  PCIN,
	input	wire  CLK,
	input	wire  FPINMODE,
	input	wire [6:0]  FPOPMODE,
	input	wire  A_SIGN,
	input	wire [7:0]  A_EXP,
	input	wire [22:0]  A_MAN,
	input	wire  B_SIGN,
	input	wire [7:0]  B_EXP,
	input	wire [22:0]  B_MAN,
	input	wire [31:0]  C,
	input	wire  D_SIGN,
	input	wire [7:0]  D_EXP,
	input	wire [22:0]  D_MAN,
	input	wire  ASYNC_RST,
	input	wire  CEA1,
	input	wire  CEA2,
	input	wire  CEB,
	input	wire  CEC,
	input	wire  CED,
	input	wire  CEFPA,
	input	wire  CEFPINMODE,
	input	wire  CEFPM,
	input	wire  CEFPMPIPE,
	input	wire  CEFPOPMODE,
	input	wire  RSTA,
	input	wire  RSTB,
	input	wire  RSTC,
	input	wire  RSTD,
	input	wire  RSTFPA,
	input	wire  RSTFPINMODE,
	input	wire  RSTFPM,
	input	wire  RSTFPMPIPE,
	input	wire  RSTFPOPMODE
);

	if(A_FPTYPE != "B32" || B_D_FPTYPE != "B32" || A_INPUT != "DIRECT" || B_INPUT != "DIRECT" || RESET_MODE != "SYNC" || IS_CLK_INVERTED)
		$error("%m: this model of DSPFP32 has no half precision, cascades, asynchronous reset or inverted clock.");

	function automatic logic [31:0] flushed(input logic [31:0]  x);
		return x[30:23] == 0? { x[31], 31'b0 } : x;
	endfunction : flushed

	// Registers in front of the operators
	uwire [31:0]  a, b, c, d;
	uwire [6:0]  mode;
	uwire  in_mode;
	dspfp32_delay #(.WIDTH(32), .DEPTH(AREG)) a_regs (
		.clk(CLK), .rst(RSTA ^ IS_RSTA_INVERTED), .en(AREG == 1? { CEA2, CEA2 } : { CEA2, CEA1 }), .x({ A_SIGN, A_EXP, A_MAN }), .y(a)
	);
	dspfp32_delay #(.WIDTH(32), .DEPTH(FPBREG)) b_regs (
		.clk(CLK), .rst(RSTB ^ IS_RSTB_INVERTED), .en({ 2{CEB} }), .x({ B_SIGN, B_EXP, B_MAN }), .y(b)
	);
	dspfp32_delay #(.WIDTH(32), .DEPTH(FPCREG)) c_regs (.clk(CLK), .rst(RSTC ^ IS_RSTC_INVERTED), .en({ 2{CEC} }), .x(C), .y(c));
	dspfp32_delay #(.WIDTH(32), .DEPTH(FPDREG)) d_regs (
		.clk(CLK), .rst(RSTD ^ IS_RSTD_INVERTED), .en({ 2{CED} }), .x({ D_SIGN, D_EXP, D_MAN }), .y(d)
	);
	dspfp32_delay #(.WIDTH(7), .DEPTH(FPOPMREG)) mode_regs (
		.clk(CLK), .rst(RSTFPOPMODE ^ IS_RSTFPOPMODE_INVERTED), .en({ 2{CEFPOPMODE} }), .x(FPOPMODE ^ IS_FPOPMODE_INVERTED), .y(mode)
	);
	dspfp32_delay #(.WIDTH(1), .DEPTH(INMODEREG)) in_mode_regs (
		.clk(CLK), .rst(RSTFPINMODE ^ IS_RSTFPINMODE_INVERTED), .en({ 2{CEFPINMODE} }), .x(FPINMODE ^ IS_FPINMODE_INVERTED), .y(in_mode)
	);

	// Multiplier
	uwire [31:0]  factor = in_mode? b : d;
	uwire [31:0]  product = gf_float::to_bits(gf_float::to_real(flushed(a)) * gf_float::to_real(flushed(factor)));
	uwire [31:0]  piped, m;
	dspfp32_delay #(.WIDTH(32), .DEPTH(FPMPIPEREG)) m_pipe (
		.clk(CLK), .rst(RSTFPMPIPE ^ IS_RSTFPMPIPE_INVERTED), .en({ 2{CEFPMPIPE} }), .x(product), .y(piped)
	);
	dspfp32_delay #(.WIDTH(32), .DEPTH(FPM_PREG)) m_regs (
		.clk(CLK), .rst(RSTFPM ^ IS_RSTFPM_INVERTED), .en({ 2{CEFPM} }), .x(piped), .y(m)
	);
	assign	FPM_OUT = flushed(m);
	assign	FPM_INVALID = &m[30:23] && |m[22:0];
	assign	FPM_OVERFLOW = &m[30:23] && !m[22:0];
	assign	FPM_UNDERFLOW = m[30:23] == 0 && m[22:0] != 0;

	// Adder
	logic [31:0]  x;
	logic [31:0]  y;
	uwire [31:0]  p;
	always_comb begin
		case(mode[4:2])
		3'b100:  x = flushed(p);
		3'b110:  x = flushed(c);
		default: x = '0;
		endcase
		case(mode[1:0])
		2'b01:   y = FPM_OUT;
		2'b11:   y = flushed(d);
		default: y = '0;
		endcase
		x[31] ^= mode[6];
		y[31] ^= mode[5];
	end
	uwire [31:0]  sum = gf_float::to_bits(gf_float::to_real(x) + gf_float::to_real(y));
	dspfp32_delay #(.WIDTH(32), .DEPTH(FPA_PREG)) p_regs (
		.clk(CLK), .rst(RSTFPA ^ IS_RSTFPA_INVERTED), .en({ 2{CEFPA} }), .x(sum), .y(p)
	);
	assign	FPA_OUT = flushed(p);
	assign	FPA_INVALID = &p[30:23] && |p[22:0];
	assign	FPA_OVERFLOW = &p[30:23] && !p[22:0];
	assign	FPA_UNDERFLOW = p[30:23] == 0 && p[22:0] != 0;
	always_ff @(posedge CLK) begin
		assert(mode[4:2] inside { 3'b000, 3'b010, 3'b100, 3'b110 } && mode[1:0] != 2'b10 || !CEFPA) else
			$error("%m: this model of DSPFP32 has no cascades, but FPOPMODE %b asks for one.", mode);
	end

	assign	{ ACOUT_SIGN, ACOUT_EXP, ACOUT_MAN } = '0;
	assign	{ BCOUT_SIGN, BCOUT_EXP, BCOUT_MAN } = '0;
	assign	PCOUT = '0;

endmodule : DSPFP32

// DEPTH registers in a row; the first one is enabled by en[0], the others by en[1].
module dspfp32_delay #(
	int  WIDTH,
	int  DEPTH
)(
	input	wire  clk,
	input	wire  rst,
	input	wire [1:0]  en,
	input	wire [WIDTH-1:0]  x,
	output	logic [WIDTH-1:0]  y
);
	if(DEPTH == 0)  assign  y = x;
	else begin : genRegs
		logic [WIDTH-1:0]  Regs[DEPTH] = '{ default: '0 };
		always_ff @(posedge clk) begin
			for(int  i = 0; i < DEPTH; i++) begin
				if(rst)  Regs[i] <= '0;
				else if(en[i > 0])  Regs[i] <= i? Regs[i > 0? i-1 : 0] : x;
			end
		end
		assign	y = Regs[DEPTH-1];
	end : genRegs
endmodule : dspfp32_delay

`default_nettype wire
