package market

// usConditions has the consolidated rules of CTA and UTP for US equities, under the ids
// that Massive (Polygon) gives to both. Its version changes with every change of the rows;
// a test holds it to them.
//
// Ends are weak where the rule is "open and close only if it is the first or only eligible
// trade": such a trade sets them until a better one comes. Sources differ on Seller (29):
// volume only, as its siblings Cash and Next Day, which like it differ from a regular sale
// in the day of settlement alone; so has it the vendor of the bars of October 2013 that the
// tests read (73 such trades in one day, all in the volume; of 14 in regular hours beyond
// the others' range of their second none in a bar's high or low). Form T (12) marks what
// is traded outside regular hours; there it may set the prices of a minute, never those of
// a day.
var usConditions = func() *ConditionTable {
	t := newConditionTable("2026-11", []condition{
		{0, "Regular Sale", "@", "@", true, endsYes, true},
		{1, "Acquisition", "", "A", true, endsYes, true},
		{2, "Average Price Trade", "B", "W", false, endsNo, true},
		{3, "Automatic Execution", "E", "", true, endsYes, true},
		{4, "Bunched Trade", "", "B", true, endsYes, true},
		{5, "Bunched Sold Trade", "", "G", true, endsWeak, true},
		{6, "CAP Election", "", "", true, endsYes, true},
		{7, "Cash Sale", "C", "C", false, endsNo, true},
		{8, "Closing Prints", "6", "6", true, endsYes, true},
		{9, "Cross Trade", "X", "X", true, endsYes, true},
		{10, "Derivatively Priced", "4", "4", true, endsWeak, true},
		{11, "Distribution", "", "D", true, endsYes, true},
		{12, "Form T / Extended Hours", "T", "T", false, endsNo, true},
		{13, "Extended Hours (Sold Out Of Sequence)", "U", "U", false, endsNo, true},
		{14, "Intermarket Sweep", "F", "F", true, endsYes, true},
		{15, "Market Center Official Close", "M", "M", false, endsNo, false},
		{16, "Market Center Official Open", "Q", "Q", false, endsNo, false},
		{17, "Market Center Opening Trade", "O", "", true, endsYes, true},
		{18, "Market Center Reopening Trade", "5", "", true, endsYes, true},
		{19, "Market Center Closing Trade", "6", "", true, endsYes, true},
		{20, "Next Day", "N", "N", false, endsNo, true},
		{21, "Price Variation Trade", "H", "H", false, endsNo, true},
		{22, "Prior Reference Price", "P", "P", true, endsWeak, true},
		{23, "Rule 155 Trade (AMEX)", "", "K", true, endsYes, true},
		{24, "Rule 127 (NYSE)", "K", "", true, endsYes, true},
		{25, "Opening Prints", "O", "O", true, endsYes, true},
		{27, "Stopped Stock (Regular Trade)", "", "1", true, endsYes, true},
		{28, "Re-Opening Prints", "5", "5", true, endsYes, true},
		{29, "Seller", "R", "R", false, endsNo, true},
		{30, "Sold Last", "L", "L", true, endsYes, true},
		{31, "Sold Last and Stopped Stock", "", "", true, endsYes, true},
		{32, "Sold (Out Of Sequence)", "Z", "Z", true, endsWeak, true},
		{33, "Sold (Out of Sequence) and Stopped Stock", "", "", true, endsWeak, true},
		{34, "Split Trade", "", "S", true, endsYes, true},
		{35, "Stock Option", "", "", true, endsYes, true},
		{36, "Yellow Flag Regular Trade", "", "Y", true, endsYes, true},
		{37, "Odd Lot Trade", "I", "I", false, endsNo, true},
		{38, "Corrected Consolidated Close", "9", "9", true, endsYes, false},
		{41, "Trade Thru Exempt", "", "", true, endsYes, true},
		{52, "Contingent Trade", "V", "V", false, endsNo, true},
		{53, "Qualified Contingent Trade", "7", "7", false, endsNo, true},
		{55, "Opening Reopening Trade Detail", "", "", true, endsYes, true},
	})
	t.lateHours = 1 << 12
	return t
}()
