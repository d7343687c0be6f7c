// Single precision on Verilator, whose `shortreal` is a double: what `$bitstoshortreal` and `$shortrealtobits` are to
// do. To the nearest, ties to even; with subnormal numbers; what is not a number becomes the quiet 7fc00000.
`default_nettype none

package gf_float;

	function automatic real to_real(input bit [31:0]  bits);
		automatic bit [10:0]  exponent;
		automatic bit [52:0]  fraction;
		if(bits[30:23] == 255)  return $bitstoreal({ bits[31], 11'h7FF, bits[22:0], 29'b0 });
		if(bits[30:0] == 0)  return $bitstoreal({ bits[31], 63'b0 });
		exponent = 11'(bits[30:23]) + 11'd896;  // 1023 - 127
		fraction = { bits[30:23] != 0, bits[22:0], 29'b0 };
		if(bits[30:23] == 0) begin
			exponent = 11'd897;
			for(int unsigned  i = 0; i < 23; i++) begin
				if(!fraction[52]) begin
					fraction = fraction << 1;
					exponent = exponent - 1;
				end
			end
		end
		return $bitstoreal({ bits[31], exponent, fraction[51:0] });
	endfunction : to_real

	function automatic bit [31:0] to_bits(input real  value);
		automatic bit [63:0]  bits = $realtobits(value);
		automatic int  exponent = int'({ 21'b0, bits[62:52] }) - 896;
		automatic bit [53:0]  kept = { 1'b0, bits[62:52] != 0, bits[51:0] };
		automatic bit [24:0]  rounded;
		automatic bit  sticky = 0;
		if(bits[62:52] == 11'h7FF)  return bits[51:0] != 0? 32'h7FC0_0000 : { bits[63], 8'hFF, 23'b0 };
		if(exponent < -24)  return { bits[63], 31'b0 };
		for(int i = 0; i < 25; i++) begin
			if(exponent < 1) begin
				sticky = sticky | kept[0];
				kept = kept >> 1;
				exponent = exponent + 1;
			end
		end
		rounded = kept[53:29];
		sticky = sticky | (kept[27:0] != 0);
		if(kept[28] && (sticky || rounded[0]))  rounded = rounded + 1;
		if(rounded[24]) begin
			rounded = rounded >> 1;
			exponent = exponent + 1;
		end
		if(exponent >= 255)  return { bits[63], 8'hFF, 23'b0 };
		return { bits[63], rounded[23]? 8'(exponent) : 8'd0, rounded[22:0] };
	endfunction : to_bits

endpackage : gf_float

`default_nettype wire
