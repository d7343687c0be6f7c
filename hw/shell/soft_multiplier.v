// Products made of LUTs: a techmap of yosys for $mul, a third to a half of its carry-save trees at about their delay.
//
// The narrower factor is recoded into digits of -2..2 (Booth, radix 4). One LUT holds a bit of "digit times the other
// factor" together with its addition to the digits before it. Chains of 2, 3, 4 ... digits run side by side, and each is
// added to the sum of those before it about when it is ready. A negative digit adds a complement and a carry; a chain's
// first digit has no adder of its own, and the one that takes the chain in adds its carry.
`default_nettype none

(* techmap_celltype = "$mul" *)
module soft_multiplier (A, B, Y);
    parameter A_SIGNED = 0;
    parameter B_SIGNED = 0;
    parameter A_WIDTH = 1;
    parameter B_WIDTH = 1;
    parameter Y_WIDTH = 1;

    (* force_downto *)
    input wire [A_WIDTH-1:0] A;
    (* force_downto *)
    input wire [B_WIDTH-1:0] B;
    (* force_downto *)
    output wire [Y_WIDTH-1:0] Y;

    localparam UNSIGNED = !(A_SIGNED && B_SIGNED);
    localparam WA = A_WIDTH + UNSIGNED;
    localparam DIGITS = (B_WIDTH + UNSIGNED + 1) / 2;
    localparam W = WA + 2;            // a chain from the weight of its last digit upwards
    localparam WP = WA + 2 * DIGITS;  // the product

    wire _TECHMAP_FAIL_ = A_WIDTH < 6 || B_WIDTH < 6;

    genvar c, d;
    generate
        if (A_WIDTH < B_WIDTH) begin
            \$mul #(.A_SIGNED(B_SIGNED), .B_SIGNED(A_SIGNED), .A_WIDTH(B_WIDTH), .B_WIDTH(A_WIDTH), .Y_WIDTH(Y_WIDTH))
                _TECHMAP_REPLACE_ (.A(B), .B(A), .Y(Y));
        end else begin
            wire [W-1:0] once = {{W-A_WIDTH{!UNSIGNED && A[A_WIDTH-1]}}, A};
            wire [W-1:0] twice = {once[W-2:0], 1'b0};
            wire [2*DIGITS:0] bits = {{2*DIGITS-B_WIDTH{!UNSIGNED && B[B_WIDTH-1]}}, B, 1'b0};

            // Chain c begins with digit c * (c + 3) / 2: 0, 2, 5, 9 ...
            for (c = 0; c * (c + 3) / 2 < DIGITS; c = c + 1) begin : chain
                localparam FIRST = c * (c + 3) / 2;
                localparam LAST = FIRST + c + 1 < DIGITS ? FIRST + c + 1 : DIGITS - 1;
                localparam WH = WP - 2 * FIRST;
                wire [2*(LAST-FIRST)+W-1:0] value;
                for (d = FIRST; d <= LAST; d = d + 1) begin : digit
                    wire [2:0] code = bits[2*d+:3];
                    wire [W-1:0] size = code == 3'd3 || code == 3'd4 ? twice : code[1] != code[0] ? once : {W{1'b0}};
                    wire [W-1:0] multiple = size ^ {W{code[2]}};
                    wire [W-1:0] sum;
                    if (d == 0)
                        \$__soft_add #(.WIDTH(W)) add (.A({W{1'b0}}), .B(multiple), .CI(code[2]), .Y(sum));
                    else if (d == FIRST)
                        assign sum = multiple;
                    else begin
                        wire [W-1:0] before = digit[d-1].sum;
                        \$__soft_add #(.WIDTH(W)) add (
                            .A({{2{before[W-1]}}, before[W-1:2]}), .B(multiple), .CI(code[2]), .Y(sum));
                    end
                    if (d == LAST) assign value[2*(d-FIRST)+:W] = sum;
                    else assign value[2*(d-FIRST)+:2] = sum[1:0];
                end
                wire [WH+2*(LAST-FIRST)+W-1:0] wide = {{WH{value[2*(LAST-FIRST)+W-1]}}, value};
                wire [WP-1:0] total;
                if (c == 0)
                    assign total = wide[WP-1:0];
                else begin
                    assign total[2*FIRST-1:0] = chain[c-1].total[2*FIRST-1:0];
                    \$__soft_add #(.WIDTH(WH)) add (
                        .A(chain[c-1].total[WP-1:2*FIRST]), .B(wide[WH-1:0]), .CI(bits[2*FIRST+2]), .Y(total[WP-1:2*FIRST]));
                end
                if (LAST == DIGITS - 1) begin
                    wire [WP+Y_WIDTH-1:0] product = {{Y_WIDTH{total[WP-1]}}, total};
                    assign Y = product[Y_WIDTH-1:0];
                end
            end
        end
    endgenerate
endmodule

// A + B + CI: the carry chain takes A as it is, so the logic behind B shares the LUTs of the addition.
(* techmap_celltype = "$__soft_add" *)
module soft_add (A, B, CI, Y);
    parameter WIDTH = 1;

    (* force_downto *)
    input wire [WIDTH-1:0] A, B;
    input wire CI;
    (* force_downto *)
    output wire [WIDTH-1:0] Y;

    wire [WIDTH-1:0] x, carry;
    \$alu #(.A_SIGNED(0), .B_SIGNED(0), .A_WIDTH(WIDTH), .B_WIDTH(WIDTH), .Y_WIDTH(WIDTH))
        _TECHMAP_REPLACE_ (.A(A), .B(B), .BI(1'b0), .CI(CI), .X(x), .CO(carry), .Y(Y));
endmodule

`default_nettype wire
