// Versal's DSP cell for simulation in the one use that has no RTL beside it: the sum of three products of 9 by 8 bits
// (DSP_MODE "INT8"), without cascades, preadder or accumulation. Where the operands lie in A and B says AMD's AM004 1.2.1 (Port
// Descriptions); the registers are inferred from FINN's use and were not compared with it.
//
// P = Σ A[9i+8:9i] · B[8i+7:8i], i = 0…2, signed, behind AREG = BREG, MREG and PREG registers.
`default_nettype none

module DSP58 #(
	parameter  AMULTSEL = "A",
	parameter  A_INPUT = "DIRECT",
	parameter  BMULTSEL = "B",
	parameter  B_INPUT = "DIRECT",
	parameter  DSP_MODE = "INT24",
	parameter  PREADDINSEL = "A",
	bit [57:0]  RND = 0,
	parameter  USE_MULT = "MULTIPLY",
	parameter  USE_SIMD = "ONE58",
	parameter  USE_WIDEXOR = "FALSE",
	parameter  XORSIMD = "XOR24_34_58_116",
	parameter  AUTORESET_PATDET = "NO_RESET",
	parameter  AUTORESET_PRIORITY = "RESET",
	bit [57:0]  MASK = 58'h0ffffffffffffff,
	bit [57:0]  PATTERN = 0,
	parameter  SEL_MASK = "MASK",
	parameter  SEL_PATTERN = "PATTERN",
	parameter  USE_PATTERN_DETECT = "NO_PATDET",
	bit [3:0]  IS_ALUMODE_INVERTED = 0,
	bit  IS_CARRYIN_INVERTED = 0,
	bit  IS_CLK_INVERTED = 0,
	bit [4:0]  IS_INMODE_INVERTED = 0,
	bit [2:0]  IS_NEGATE_INVERTED = 0,
	bit [8:0]  IS_OPMODE_INVERTED = 0,
	bit  IS_RSTALLCARRYIN_INVERTED = 0,
	bit  IS_RSTALUMODE_INVERTED = 0,
	bit  IS_RSTA_INVERTED = 0,
	bit  IS_RSTB_INVERTED = 0,
	bit  IS_RSTCTRL_INVERTED = 0,
	bit  IS_RSTC_INVERTED = 0,
	bit  IS_RSTD_INVERTED = 0,
	bit  IS_RSTINMODE_INVERTED = 0,
	bit  IS_RSTM_INVERTED = 0,
	bit  IS_RSTP_INVERTED = 0,
	int  ACASCREG = 1,
	int  ADREG = 1,
	int  ALUMODEREG = 1,
	int  AREG = 1,
	int  BCASCREG = 1,
	int  BREG = 1,
	int  CARRYINREG = 1,
	int  CARRYINSELREG = 1,
	int  CREG = 1,
	int  DREG = 1,
	int  INMODEREG = 1,
	int  MREG = 1,
	int  OPMODEREG = 1,
	int  PREG = 1,
	parameter  RESET_MODE = "SYNC"
)(
	output	logic [33:0]  ACOUT,
	output	logic [23:0]  BCOUT,
	output	logic  CARRYCASCOUT,
	output	logic  MULTSIGNOUT,
	output	logic [57:0]  PCOUT,
	output	logic  OVERFLOW,
	output	logic  PATTERNBDETECT,
	output	logic  PATTERNDETECT,
	output	logic  UNDERFLOW,
	output	logic [3:0]  CARRYOUT,
	output	logic [57:0]  P,
	output	logic [7:0]  XOROUT,
	input	wire [33:0]  ACIN,
	input	wire [23:0]  BCIN,
	input	wire  CARRYCASCIN,
	input	wire  MULTSIGNIN,
	input	wire [57:0]  PCIN,
	input	wire [3:0]  ALUMODE,
	input	wire [2:0]  CARRYINSEL,
	input	wire  CLK,
	input	wire [4:0]  INMODE,
	input	wire [2:0]  NEGATE,
	input	wire [8:0]  OPMODE,
	input	wire [33:0]  A,
	input	wire [23:0]  B,
	input	wire [57:0]  C,
	input	wire  CARRYIN,
	input	wire [26:0]  D,
	input	wire  ASYNC_RST,
	input	wire  CEA1,
	input	wire  CEA2,
	input	wire  CEAD,
	input	wire  CEALUMODE,
	input	wire  CEB1,
	input	wire  CEB2,
	input	wire  CEC,
	input	wire  CECARRYIN,
	input	wire  CECTRL,
	input	wire  CED,
	input	wire  CEINMODE,
	input	wire  CEM,
	input	wire  CEP,
	input	wire  RSTA,
	input	wire  RSTALLCARRYIN,
	input	wire  RSTALUMODE,
	input	wire  RSTB,
	input	wire  RSTC,
	input	wire  RSTCTRL,
	input	wire  RSTD,
	input	wire  RSTINMODE,
	input	wire  RSTM,
	input	wire  RSTP
);
	if(
		DSP_MODE != "INT8" || A_INPUT != "DIRECT" || B_INPUT != "DIRECT" || AREG != 1 || BREG != 1 || MREG != 1 || PREG != 1 ||
		RESET_MODE != "SYNC" || IS_CLK_INVERTED || USE_SIMD != "ONE58"
	) $error("%m: this model of DSP58 is the INT8 mode with one register per stage only; use the behavioural variant of the unit.");

	logic [26:0]  A1;
	logic [23:0]  B1;
	logic signed [57:0]  M;
	logic signed [57:0]  Product;
	always_ff @(posedge CLK) begin
		if(RSTA ^ IS_RSTA_INVERTED)  A1 <= '0;
		else if(CEA1)  A1 <= A[26:0];
		if(RSTB ^ IS_RSTB_INVERTED)  B1 <= '0;
		else if(CEB1)  B1 <= B;
		if(RSTM ^ IS_RSTM_INVERTED)  M <= '0;
		else if(CEM)  M <= Product;
		if(RSTP ^ IS_RSTP_INVERTED)  P <= '0;
		else if(CEP)  P <= M;
		assert((OPMODE ^ IS_OPMODE_INVERTED) == 9'b00_000_01_01 && ALUMODE == 0) else
			$error("%m: this model of DSP58 only multiplies, but OPMODE is %b.", OPMODE ^ IS_OPMODE_INVERTED);
	end
	always_comb begin
		Product = '0;
		for(int  i = 0; i < 3; i++) begin
			automatic logic signed [16:0]  one = $signed(A1[9*i+:9]) * $signed(B1[8*i+:8]);
			Product = Product + 58'(one);
		end
	end

	assign	ACOUT = '0;
	assign	BCOUT = '0;
	assign	CARRYCASCOUT = '0;
	assign	MULTSIGNOUT = '0;
	assign	PCOUT = '0;
	assign	OVERFLOW = '0;
	assign	PATTERNBDETECT = '0;
	assign	PATTERNDETECT = '0;
	assign	UNDERFLOW = '0;
	assign	CARRYOUT = '0;
	assign	XOROUT = '0;

endmodule : DSP58

`default_nettype wire
