// Every construct that flow/simulation/dialect.py rewrites, in units small enough to be known by heart; none of it is FINN's.
package shapes_pkg;
	typedef struct { int unsigned  rows; int unsigned  columns; } shape_t;
endpackage : shapes_pkg

// A structure from a constant function; a warning that lacks an argument.
module area #(int unsigned  SIDE)(output logic [31:0]  y);
	typedef struct {
		int unsigned  rows;
		int unsigned  columns;
	} shape_t;
	function shape_t SHAPE();
		automatic shape_t  s = '{ rows: SIDE, columns: 0 };
		s.columns = s.rows + 1;
		return  s;
	endfunction : SHAPE
	localparam shape_t  S = SHAPE();
	initial if(S.rows == 0)  $error("%m: a side of %0d is none.");
	assign	y = S.rows * S.columns;
endmodule : area

// A constant function under generate that fills an array, and a parameter of that scope that it uses.
module squares #(int unsigned  N)(input logic [3:0]  index, output logic [31:0]  y);
	if(N == 0) begin : genNone
		assign	y = 0;
	end : genNone
	else begin : genTable
		localparam int unsigned  OFFSET = N + 1;
		typedef int  table_t[N];
		function table_t TABLE();
			automatic table_t  t = '{ default: 0 };
			for(int unsigned  i = 1; i < N; i++)  t[i] = t[i-1] + int'(2*i) - 1;
			foreach(t[i])  t[i] = t[i] - int'(OFFSET);
			return  t;
		endfunction : TABLE
		localparam table_t  T = TABLE();
		assign	y = T[index];
	end : genTable
endmodule : squares

// An array parameter sized by a parameter without default; a constant part select that may be empty.
module weighed #(int unsigned  D, int unsigned  WEIGHTS[D], int unsigned  LOW = 0)(input logic [7:0]  x, output logic [31:0]  y);
	always_comb begin
		y = 0;
		for(int unsigned  i = 0; i < D; i++)  y += WEIGHTS[i] * 32'(x[i]);
		if(LOW > 0 && x[0+:LOW] != 0)  y += 1000;
	end
endmodule : weighed

// Casts between an unpacked array and a vector.
module turned(input logic [11:0]  x, output logic [11:0]  y);
	typedef logic [3:0]  digits_t[3];
	typedef logic [11:0]  word_t;
	digits_t  digits;
	assign	digits = digits_t'(x);
	digits_t  swapped;
	assign	swapped[0] = digits[2];
	assign	swapped[1] = digits[1];
	assign	swapped[2] = digits[0];
	assign	y = word_t'(swapped);
endmodule : turned

// Single precision.
module floats #(shortreal  SCALE = 1.0)(
	input logic [31:0]  a, input logic [31:0]  b,
	output logic [31:0]  product, output logic [31:0]  sum, output logic [31:0]  difference, output logic [31:0]  scaled
);
	localparam bit [31:0]  SCALE_BITS = $shortrealtobits(SCALE);
	assign	product = $shortrealtobits($bitstoshortreal(a) * $bitstoshortreal(b));
	assign	sum = $shortrealtobits($bitstoshortreal(a) + $bitstoshortreal(b));
	assign	difference = $shortrealtobits(1.5 - $bitstoshortreal(b));
	assign	scaled = $shortrealtobits($bitstoshortreal(SCALE_BITS) * $bitstoshortreal(a));
endmodule : floats

module dialect(
	input	logic [31:0]  a,
	input	logic [31:0]  b,
	input	logic  done,
	output	logic [31:0]  area,
	output	logic [31:0]  squares,
	output	logic [31:0]  weighed,
	output	logic [31:0]  masked,
	output	logic [11:0]  turned,
	output	logic [31:0]  product,
	output	logic [31:0]  sum,
	output	logic [31:0]  difference,
	output	logic [31:0]  scaled
);
	area #(.SIDE(6)) u_area (.y(area));
	squares #(.N(9)) u_squares (.index(a[3:0]), .y(squares));
	weighed #(.D(3), .WEIGHTS('{ 5, 70, 900 })) u_weighed (.x(a[7:0]), .y(weighed));
	weighed #(.D(2), .WEIGHTS('{ 1, 2 }), .LOW(3)) u_masked (.x(a[7:0]), .y(masked));
	turned u_turned (.x(a[11:0]), .y(turned));
	floats #(.SCALE(0.1)) u_floats (.a, .b, .product, .sum, .difference, .scaled);
	initial @(posedge done) $finish;
	initial forever #1_000;
endmodule : dialect
