// Versal's floating-point cell for simulation, as FINN's RTL uses it: single precision without cascades.
//
// As AMD's AM004 1.2.1 says (DSPFP32 Unisim Primitive; Subnormals; Overflow, Underflow, and Invalid Modes): product and
// sum are each rounded to nearest even; a subnormal operand is a zero of its sign, a subnormal result becomes one; the
// flags. Inferred from FINN's use, since that part of the manual was not at hand: FPOPMODE[4:2] = 2, the bits of a NaN.
//
// FPM = A * (FPINMODE ? B : D); FPA = ±X ± Y with X of FPOPMODE[4:2] (0, 2: zero, 4: FPA itself, 6: C) negated by
// FPOPMODE[6], Y of FPOPMODE[1:0] (0: zero, 1: FPM, 3: D) negated by FPOPMODE[5]. The product is rounded before it is
// added. OVERFLOW and UNDERFLOW are raised by finite operands only, INVALID by a signalling NaN, 0 · inf and inf - inf.
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

	function automatic bit is_nan(input bit [31:0]  x);
		return &x[30:23] && x[22:0] != 0;
	endfunction : is_nan

	// INVALID, OVERFLOW, UNDERFLOW of an operation on u and v: `exact` before and `r` after it is rounded.
	function automatic bit [2:0] flags(input bit [31:0]  u, input bit [31:0]  v, input real  exact, input bit [31:0]  r);
		automatic bit  finite = !(&u[30:23]) && !(&v[30:23]);
		automatic bit  invalid = is_nan(u) && !u[22] || is_nan(v) && !v[22] || is_nan(r) && !is_nan(u) && !is_nan(v);
		return { invalid, finite && &r[30:23], finite && exact != 0.0 && r[30:23] == 0 };
	endfunction : flags

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
	real  exact_product;
	logic [31:0]  product;
	logic [34:0]  flagged_product;
	always_comb begin
		exact_product = gf_float::to_real(flushed(a)) * gf_float::to_real(flushed(factor));
		product = gf_float::to_bits(exact_product);
		flagged_product = { flags(flushed(a), flushed(factor), exact_product, product), flushed(product) };
	end
	uwire [34:0]  piped;
	dspfp32_delay #(.WIDTH(35), .DEPTH(FPMPIPEREG)) m_pipe (
		.clk(CLK), .rst(RSTFPMPIPE ^ IS_RSTFPMPIPE_INVERTED), .en({ 2{CEFPMPIPE} }), .x(flagged_product), .y(piped)
	);
	dspfp32_delay #(.WIDTH(35), .DEPTH(FPM_PREG)) m_regs (
		.clk(CLK), .rst(RSTFPM ^ IS_RSTFPM_INVERTED), .en({ 2{CEFPM} }), .x(piped),
		.y({ FPM_INVALID, FPM_OVERFLOW, FPM_UNDERFLOW, FPM_OUT })
	);

	// Adder
	logic [31:0]  x;
	logic [31:0]  y;
	uwire [31:0]  p;
	always_comb begin
		case(mode[4:2])
		3'b100:  x = p;
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
	real  exact_sum;
	logic [31:0]  sum;
	logic [34:0]  flagged_sum;
	always_comb begin
		exact_sum = gf_float::to_real(x) + gf_float::to_real(y);
		sum = gf_float::to_bits(exact_sum);
		flagged_sum = { flags(x, y, exact_sum, sum), flushed(sum) };
	end
	dspfp32_delay #(.WIDTH(35), .DEPTH(FPA_PREG)) p_regs (
		.clk(CLK), .rst(RSTFPA ^ IS_RSTFPA_INVERTED), .en({ 2{CEFPA} }), .x(flagged_sum),
		.y({ FPA_INVALID, FPA_OVERFLOW, FPA_UNDERFLOW, p })
	);
	assign	FPA_OUT = p;
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
