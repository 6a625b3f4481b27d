"use strict";
document.getElementById("save").addEventListener("click", () => {
  const text = document.getElementById("report").textContent;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = "trace-report.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});
