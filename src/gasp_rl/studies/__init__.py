"""Systems side by side: a study trains its arms over seeds at equal budgets and reports them."""
