// Cell and hidden values of an LSTM, unit by unit: from the four gates of a unit, enter, forget, candidate, leave in this order, to
//
//     cell   = (sigmoid(forget) * cell + sigmoid(enter) * tanh(candidate)) / 256, saturated at +-32767
//     hidden = sigmoid(leave) * tanh(cell) / 256
//
// rounded half up, all in units of 1/256 (flow/graph/lstm.py). A hidden value leaves six cycles after its unit's last gate.
`default_nettype none

module engine_cell
    import engine_pkg::*;
#(
    parameter int unsigned HIDDEN = 10,
    localparam int unsigned UW = $clog2(HIDDEN)
) (
    input  wire                clk,
    input  wire                rst_n,
    input  wire                clear,       /// the cell of that unit
    input  wire  [UW-1:0]      clear_unit,
    input  wire                valid,
    // As wide as a layer's outputs are counted.
    // verilator lint_off UNUSEDSIGNAL
    input  wire  [8:0]         index,       /// 4 * unit + gate
    // verilator lint_on UNUSEDSIGNAL
    input  wire  signed [15:0] value,
    output logic               made,
    output logic [UW-1:0]      unit,
    output logic signed [9:0]  hidden
);
    localparam logic [1:0] ENTER = 2'd0, FORGET = 2'd1, CANDIDATE = 2'd2, LEAVE = 2'd3;
    (* ram_style = "distributed" *) logic signed [15:0] cells[1 << UW];

    // Cycle 1: sigmoid, of a candidate that of twice its value.
    logic          active;
    logic [1:0]    gate;
    logic [UW-1:0] at;
    logic [8:0]    made_of;
    wire signed [9:0] candidate = tanh_of(made_of);
    // Cycle 2: products, of a unit two.
    logic [8:0]    enter;
    logic signed [25:0] product, kept;
    logic          forgets, adds;
    logic [UW-1:0] product_at, sum_at;
    wire signed [15:0] factor = (gate == FORGET) ? cells[at] : 16'(candidate);
    // Cycles 3 and 4: their sum, the cell.
    logic signed [26:0] sum;
    logic          summed;
    // Rounded; the lowest bits fall away.
    // verilator lint_off UNUSEDSIGNAL
    wire signed [26:0] rounded = sum + 27'sd128;
    // verilator lint_on UNUSEDSIGNAL
    wire signed [18:0] whole = rounded[26:8];
    wire signed [15:0] cell_next = (whole > 19'sd32767) ? 16'sd32767 : (whole < -19'sd32767) ? -16'sd32767 : whole[15:0];
    logic signed [15:0] cell_value;
    // Cycle 5: tanh. The unit's last gate waits that long.
    logic [8:0]    cell_sigmoid;
    localparam int unsigned WAIT = 3;
    logic [WAIT:1]         waits;
    logic [WAIT:1][8:0]    leave;
    logic [WAIT:1][UW-1:0] leave_at;
    // Cycles 6 and 7: hidden values.
    logic          multiplied;
    logic [UW-1:0] multiplied_at;
    // As above.
    // verilator lint_off UNUSEDSIGNAL
    logic signed [19:0] let_out;
    wire signed [19:0]  let_out_rounded = let_out + 20'sd128;
    // verilator lint_on UNUSEDSIGNAL

    always_ff @(posedge clk) begin
        active <= rst_n && valid;
        gate <= index[1:0];
        at <= index[UW+1:2];
        made_of <= sigmoid((index[1:0] == CANDIDATE) ? {value, 1'b0} : 17'(value));

        if (active && gate == ENTER) enter <= made_of;
        product <= $signed({1'b0, (gate == FORGET) ? made_of : enter}) * factor;
        product_at <= at;
        forgets <= active && gate == FORGET;
        adds <= rst_n && active && gate == CANDIDATE;

        if (forgets) kept <= product;
        sum <= kept + product;
        sum_at <= product_at;
        summed <= rst_n && adds;

        if (summed) cell_value <= cell_next;
        if (clear || summed) cells[clear ? clear_unit : sum_at] <= clear ? '0 : cell_next;

        cell_sigmoid <= sigmoid({cell_value, 1'b0});

        waits <= {waits[WAIT-1:1], active && gate == LEAVE};
        leave <= {leave[WAIT-1:1], made_of};
        leave_at <= {leave_at[WAIT-1:1], at};
        multiplied <= rst_n && waits[WAIT];
        multiplied_at <= leave_at[WAIT];
        let_out <= $signed({1'b0, leave[WAIT]}) * tanh_of(cell_sigmoid);
        made <= rst_n && multiplied;
        unit <= multiplied_at;
        hidden <= let_out_rounded[17:8];
        if (!rst_n) waits <= '0;
    end
endmodule

`default_nettype wire
